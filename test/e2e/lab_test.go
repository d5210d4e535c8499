//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNothingOutlivesALab(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal syscall.Signal
		exit   int
	}{
		"that is interrupted":           {syscall.SIGINT, 0},
		"that is told to end":           {syscall.SIGTERM, 0},
		"that is killed without a word": {syscall.SIGKILL, -1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var out bytes.Buffer
			command := exec.Command(labProgram(), "up", "--clusters", "1", "--state-dir", dir)
			command.Stdout, command.Stderr = &out, &out
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			t.Cleanup(func() { _ = command.Process.Kill() })
			eventually(t, 3*time.Minute, "the lab is up", func() string {
				if _, err := os.Stat(filepath.Join(dir, "lab.json")); err != nil {
					return err.Error()
				}
				return ""
			})
			described, err := readLab(dir)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for _, process := range described.Clusters[0].Processes {
				names[process.Name] = true
				if !alive(process.PID) {
					t.Errorf("%s (pid %d) of lab.json does not run", process.Name, process.PID)
				}
			}
			for _, want := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "operator", exporterName, "istiod-" + defaultIstio().Revision()} {
				if !names[want] {
					t.Errorf("lab.json has no process %s", want)
				}
			}
			if err := command.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(restarted):
				t.Fatal("the lab does not end")
			}
			if got := command.ProcessState.ExitCode(); got != test.exit {
				t.Errorf("exit code %d, want %d; it said:\n%s", got, test.exit, out.String())
			}
			for _, process := range described.Clusters[0].Processes {
				eventually(t, prompt, process.Name+" is gone", func() string {
					if alive(process.PID) {
						return fmt.Sprintf("pid %d lives", process.PID)
					}
					return ""
				})
			}
			for range 2 { // stopping what does not run is no error
				if err := lab("down", "--state-dir", dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// alive tells whether a process runs; one that is dead and not yet reaped does not.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

func TestASecondLabInTheSameStateDirIsRefused(t *testing.T) {
	out, err := exec.Command(labProgram(), "up", "--clusters", "1", "--state-dir", suite.stateDir).CombinedOutput()
	if err == nil {
		t.Fatal("it was started")
	}
	if !strings.Contains(string(out), "lab down") {
		t.Errorf("it does not say what to do: %s", out)
	}
	awaitJoined(t)
}

func TestALabThatCannotBeSaysSoAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a mode that does not exist":   {[]string{"--mode", "mesh"}, "mixed"},
		"too few clusters to be mixed": {[]string{"--mode", "mixed"}, "3 clusters at least"},
		"no clusters":                  {[]string{"--clusters", "0"}, "--clusters"},
		"settings that do not exist":   {[]string{"--settings", "/does/not/exist"}, "/does/not/exist"},
		"an unknown flag":              {[]string{"--colour"}, "--colour"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(labProgram(), append([]string{"up", "--state-dir", t.TempDir()}, test.args...)...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit code 2", err)
			}
			if !strings.Contains(string(out), test.want) {
				t.Errorf("it says %q, want %q in it", out, test.want)
			}
		})
	}
}

func TestTheStatusOfALabTellsAKilledProcess(t *testing.T) {
	awaitJoined(t)
	pid := suite.b.pid(t, exporterName)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { awaitJoined(t) })
	eventually(t, prompt, "lab status counts the restart", func() string {
		out, err := exec.Command(labProgram(), "status", "--state-dir", suite.stateDir).CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(out)
		}
		_, ofB, _ := strings.Cut(string(out), "\n"+suite.b.name+" ")
		for line := range strings.Lines(ofB) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[0] == exporterName && fields[2] == "running" && fields[3] != "0" {
				return ""
			}
		}
		return string(out)
	})
}
