//go:build e2e

package lab

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandEnds with the process that asked for it, and so does what the command has started, even if it has left its session.
func commandEnds(t *testing.T, lab *runningLab) {
	const mark = "4242.42"
	running := func() bool {
		output, _ := exec.Command("pgrep", "-f", "^sleep "+mark).Output()
		return len(strings.TrimSpace(string(output))) > 0
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		command := exec.Command(filepath.Join(root(t), "bin", "lab"), "exec", "--state-dir", lab.dir, "--",
			"sh", "-c", "setsid sleep "+mark+" & exec sleep "+mark)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lab.eventually(10*time.Second, "the command runs", func() (bool, string) { return running(), "" })
		_ = command.Process.Signal(signal)
		_ = command.Wait()
		lab.eventually(6*time.Second, "the command has ended after "+signal.String(), func() (bool, string) { return !running(), "" })
	}
	output, err := exec.Command(filepath.Join(root(t), "bin", "lab"), "exec", "--state-dir", lab.dir, "--", "sh", "-c", "echo $LAB_ADDRESS; exit 7").Output()
	if exited, ok := err.(*exec.ExitError); !ok || exited.ExitCode() != 7 || strings.TrimSpace(string(output)) != "10.89.0.1" { //nolint:errorlint // not wrapped
		t.Errorf("output %q, %v; want 10.89.0.1 and exit code 7", output, err)
	}
}
