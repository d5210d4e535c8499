// Package fabricexec runs a command in the fabric of a running lab: in its network,
// with its DNS. The command ends with the process that asked for it, or with the
// lab, however these end, and so does all that the command has started.
package fabricexec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

const (
	// guardName is what the process between this one and the command is called; see Main.
	guardName = "lab-exec"
	// AddressVariable names the fabric's own address to the command.
	AddressVariable = "LAB_ADDRESS"
	// orphaned is the signal by which the kernel lets the guard know that its parent is gone.
	orphaned = syscall.SIGUSR1
)

// resolverFiles take the place of the machine's for the command. The lab writes
// them to its state dir.
var resolverFiles = map[string]string{"resolv.conf": "/etc/resolv.conf", "nsswitch.conf": "/etc/nsswitch.conf"}

// WriteFiles writes what commands in the fabric see in the place of the machine's own.
func WriteFiles(dir, resolvConf string) error {
	for name, content := range map[string]string{"resolv.conf": resolvConf, "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"} {
		if err := state.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Run the command in the fabric of the lab in the state dir, with this process'
// files and environment. It returns the command's exit code.
func Run(dir string, command []string) (int, error) {
	lab, err := state.Read(dir)
	if err != nil {
		return 0, err
	}
	holder, err := state.Holder(dir)
	if err != nil {
		return 0, err
	}
	if lab.Fabric == nil || holder == 0 {
		return 0, fmt.Errorf("no lab with a fabric is running in %s: start one with `lab up`", dir)
	}
	// The guard gets a signal when the thread that started it ends.
	runtime.LockOSThread()
	guard := exec.Command("/proc/self/exe", append([]string{dir, lab.Fabric.Network, strconv.Itoa(holder)}, command...)...)
	guard.Args[0] = guardName
	guard.Env = append(os.Environ(), AddressVariable+"="+plan.FabricAddress.String())
	guard.Stdin, guard.Stdout, guard.Stderr = os.Stdin, os.Stdout, os.Stderr
	guard.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: orphaned}
	if err := guard.Start(); err != nil {
		return 0, fmt.Errorf("run a command in the fabric: %w", err)
	}
	// A terminal sends its signals to the command as well; others are passed on.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	go func() {
		for received := range signals {
			if received == syscall.SIGTERM || received == syscall.SIGHUP {
				_ = guard.Process.Signal(received)
			}
		}
	}()
	err = guard.Wait()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		return 0, fmt.Errorf("run a command in the fabric: %w", err)
	}
	return guard.ProcessState.ExitCode(), nil
}
