package cleaner

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// labVariable makes this test binary act as a lab that has a cleaner and waits to be killed.
const labVariable = "CLEANER_TEST_DIR"

func TestMain(m *testing.M) {
	if Main(os.Args) {
		return
	}
	if dir := os.Getenv(labVariable); dir != "" {
		if _, err := Start(context.Background(), dir, []string{filepath.Join(dir, "group")}); err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("started\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestGroupsOfALabThatWasKilledAreRemoved(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "group", "node", "pods"), 0o755); err != nil {
		t.Fatal(err)
	}
	lab := exec.Command(os.Args[0])
	lab.Env = append(os.Environ(), labVariable+"="+dir)
	output, err := lab.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 16)
	if n, _ := output.Read(said); !strings.HasPrefix(string(said[:n]), "started") {
		t.Fatalf("the lab said %q", said[:n])
	}
	if _, err := os.Stat(filepath.Join(dir, "group")); err != nil {
		t.Fatalf("cleaned while the lab lives: %v", err)
	}
	_ = lab.Process.Kill()
	_ = lab.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Await(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "group")); !os.IsNotExist(err) {
		t.Errorf("the groups are there: %v", err)
	}
}
