package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startPoll is how often a program's dependency is tried.
	startPoll = 50 * time.Millisecond
	// firstPause before a program that has ended is started again; it doubles up to longestPause
	// and is forgotten when the program has run for steadyAfter.
	firstPause, longestPause, steadyAfter = 200 * time.Millisecond, 5 * time.Second, 30 * time.Second
)

// supervise runs the node's programs for as long as the node lives.
func supervise() error {
	content, err := os.ReadFile(specFile)
	if err != nil {
		return fmt.Errorf("read what the node is to be: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(content, &spec); err != nil {
		return fmt.Errorf("read what the node is to be: %w", err)
	}
	allowManyFiles()
	if err := applyRules(spec.Rules); err != nil {
		return err
	}
	children := newReaper()
	for _, program := range spec.Programs {
		go keepRunning(children, program)
	}
	select {}
}

// allowManyFiles lets programs have as many files open as this machine allows,
// and Pods with them, as services of real machines do.
func allowManyFiles() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// applyRules before there are other children: their end is the reaper's to see.
func applyRules(rules string) error {
	if rules == "" {
		return nil
	}
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if output, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("set the node's rules of nftables: %w: %s", err, output)
	}
	return nil
}

// keepRunning starts the program again whenever it ends.
func keepRunning(children *reaper, program Program) {
	await(program.After)
	pause := firstPause
	for {
		begun := time.Now()
		why := run(children, program)
		if time.Since(begun) > steadyAfter {
			pause = firstPause
		}
		fmt.Fprintf(os.Stderr, "%s: %s; started again in %s\n", program.Name, why, pause)
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
}

// run a program once, and say how it ended.
func run(children *reaper, program Program) string {
	log, err := os.OpenFile(filepath.Join(LogDir, program.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = log.Close() }()
	status, err := children.run(filepath.Join(BinDir, program.Name), program.Args, log)
	switch {
	case err != nil:
		return err.Error()
	case status.Signaled():
		return "ended by signal: " + status.Signal().String()
	}
	return fmt.Sprintf("ended with exit code %d", status.ExitStatus())
}

// await returns when something accepts connections there.
func await(address string) {
	if address == "" {
		return
	}
	network, address, _ := strings.Cut(address, ":")
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		cancel()
		if err == nil {
			_ = connection.Close()
			return
		}
		time.Sleep(startPoll)
	}
}
