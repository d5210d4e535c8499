package labtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// asLab writes a program in bin/lab's place that notes what it is called with, and fails for one command.
func asLab(t *testing.T, failing string) (root string, calls func() []string) {
	t.Helper()
	root = t.TempDir()
	notes := filepath.Join(root, "calls")
	script := "#!/bin/sh\necho \"$@\" >> " + notes + "\n[ \"$1\" != " + failing + " ] || { echo no room; exit 1; }\n"
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "lab"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return root, func() []string {
		content, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		var commands []string
		for line := range strings.Lines(string(content)) {
			commands = append(commands, strings.Fields(line)[0])
		}
		return commands
	}
}

func TestALabIsStoppedByThoseWhoStartedIt(t *testing.T) {
	for name, test := range map[string]struct {
		failed, use bool
		want        string
		retained    bool
	}{
		"after success nothing is left":       {false, false, "up down", false},
		"after a failure its folder explains": {true, false, "up collect down", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			root, calls := asLab(t, "nothing")
			lab, err := Start(context.Background(), "lab-", Recipe{Root: root, Clusters: 2})
			if err != nil {
				t.Fatal(err)
			}
			if err := lab.Stop(test.failed); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(calls(), " "); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if _, err := os.Stat(lab.StateDir); (err == nil) != test.retained {
				t.Errorf("the folder: %v", err)
			}
		})
	}
}

func TestALabThatDoesNotStartIsRemovedAndSaysWhy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	root, calls := asLab(t, "up")
	_, err := Start(context.Background(), "lab-", Recipe{Root: root, Clusters: 1})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("%v", err)
	}
	if got := strings.Join(calls(), " "); got != "up down" {
		t.Errorf("%s", got)
	}
}

func TestAPersonsLabStays(t *testing.T) {
	root, calls := asLab(t, "nothing")
	lab, err := Use(t.TempDir(), Recipe{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Exec(context.Background(), "true").Run(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Stop(true); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(calls(), " "); got != "exec" {
		t.Errorf("%s", got)
	}
}
