// Package cleaner removes what the kernel does not when a lab dies: control
// groups. It is a process of its own, which outlives the lab by the time that
// this takes.
package cleaner

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cgroup"
	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	// name that a cleaner is called by; see Main.
	name = "lab-cleaner"
	// lockName of the file in the state dir that is locked while the lab or its cleaner lives.
	lockName = "cleaner.lock"
	// timeout of the wait for an earlier lab's cleaner.
	timeout = 30 * time.Second
	// Descriptors that a cleaner gets: the pipe that ends with the lab, and the lock.
	pipeDescriptor = 3
)

// Cleaner of a running lab.
type Cleaner struct {
	// Both are open for as long as the lab lives.
	pipe, lock *os.File
}

// Start a cleaner that removes the folders of control groups once this process
// is gone, however it ends. What an earlier lab's cleaner has not yet removed is waited for.
func Start(ctx context.Context, stateDir string, folders []string) (*Cleaner, error) {
	lock, err := acquire(ctx, stateDir)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the cleaner: %w", err)
	}
	defer func() { _ = reader.Close() }()
	cmd := exec.Command("/proc/self/exe", folders...) //nolint:gosec // this very program
	cmd.Args[0] = name
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{reader, lock}
	// Neither a terminal's signals nor those to the lab's group are for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the cleaner: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	return &Cleaner{pipe: writer, lock: lock}, nil
}

// Close lets the cleaner do its work now.
func (c *Cleaner) Close() {
	_ = c.pipe.Close()
	_ = c.lock.Close()
}

// Await waits until no cleaner of the state dir is at work.
func Await(ctx context.Context, stateDir string) error {
	if _, err := os.Stat(filepath.Join(stateDir, lockName)); os.IsNotExist(err) {
		return nil
	}
	lock, err := acquire(ctx, stateDir)
	if err != nil {
		return err
	}
	return lock.Close()
}

// acquire the lock. It belongs to the open file, which the cleaner inherits: so
// it is free when both the lab and its cleaner are gone.
func acquire(ctx context.Context, stateDir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(stateDir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state dir for the cleaner: %w", err)
	}
	err = await.Until(ctx, timeout, func(context.Context) (bool, string, error) {
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return await.NotYet(err)
		}
		return true, "", nil
	})
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("wait for the cleaner of an earlier lab in %s: %w", stateDir, err)
	}
	return file, nil
}

// Main is the cleaner's process. It returns false, and does nothing, when the
// program was not called by its name.
func Main(args []string) bool {
	if filepath.Base(args[0]) != name {
		return false
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	_, _ = io.Copy(io.Discard, os.NewFile(pipeDescriptor, "lab"))
	if err := cgroup.RemoveFolders(args[1:]); err != nil {
		os.Exit(1)
	}
	return true
}
