package fabricexec

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestDescendantsAreFoundAcrossGenerations(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sleep 60 & echo $!; wait")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, pid := range descendants(os.Getpid()) {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill()
			}
		}
		_ = cmd.Wait()
	}()
	if _, err := output.Read(make([]byte, 16)); err != nil { // the grandchild exists
		t.Fatal(err)
	}
	all := descendants(os.Getpid())
	if !slices.Contains(all, cmd.Process.Pid) || len(all) != 2 {
		t.Errorf("descendants %v of a test that started %d, which started another", all, cmd.Process.Pid)
	}
}

func TestWithoutALabTheErrorSaysHowToStartOne(t *testing.T) {
	if _, err := Run(t.TempDir(), []string{"true"}); err == nil || !strings.Contains(err.Error(), "lab up") {
		t.Errorf("error %v", err)
	}
}
