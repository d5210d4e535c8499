//go:build e2e

package lab

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endTimeout is the longest that a lab may take to end.
const endTimeout = 90 * time.Second

func TestALabEndsOnRequest(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"by Ctrl-C": syscall.SIGINT, "by SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			lab := up(t, "--nodes", "1", "--clusters", "1", "--bare")
			second, err := exec.Command(filepath.Join(root(t), "bin", "lab"), "up", "--nodes", "1", "--bare", "--state-dir", lab.dir).CombinedOutput()
			if err == nil || !strings.Contains(string(second), "lab down") {
				t.Errorf("a second one in its state dir ends with %v, without the advice to use `lab down`: %s", err, second)
			}
			namespaces := namespacesOf(t, lab.describe())
			if err := lab.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			lab.eventually(endTimeout, "it has ended", func() (bool, string) {
				return lab.cmd.Process.Signal(syscall.Signal(0)) != nil, "its process runs"
			})
			lab.eventually(gone, "nothing of it is left", func() (bool, string) { return len(within(t, namespaces)) == 0, "processes are" })
			for range 2 { // stopping what does not run is no error
				lab.must(lab.lab("down"))
			}
			if code := lab.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

func TestAnImpossibleLabIsReportedAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a mode that does not exist":    {[]string{"--mode", "mesh"}, "mixed"},
		"a network that does not exist": {[]string{"--network", "global"}, "flat"},
		"too few clusters to be mixed":  {[]string{"--mode", "mixed"}, "3"},
		"no clusters":                   {[]string{"--clusters", "0"}, "clusters"},
		"settings that do not exist":    {[]string{"--settings", "/does/not/exist"}, "/does/not/exist"},
		"an unknown flag":               {[]string{"--colour"}, "--colour"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"up", "--nodes", "1", "--state-dir", t.TempDir()}, test.args...)
			output, err := exec.Command(filepath.Join(root(t), "bin", "lab"), args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit code 2", err)
			}
			if !strings.Contains(string(output), test.want) {
				t.Errorf("it reports %q, want %q in it", output, test.want)
			}
		})
	}
	t.Run("without root", func(t *testing.T) {
		stateDir := filepath.Join(os.TempDir(), "never-made")
		command := exec.Command(filepath.Join(root(t), "bin", "lab"), "up", "--nodes", "1", "--state-dir", stateDir)
		command.Dir = "/"
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		output, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "sudo") {
			t.Errorf("it ends with %v, without the advice to use sudo: %s", err, output)
		}
		if _, err := os.Stat(stateDir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it has begun to make the lab in %s: %v", stateDir, err)
		}
	})
}
