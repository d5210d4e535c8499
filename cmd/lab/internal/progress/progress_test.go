package progress

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestStep(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(note func(string)) error
		want string
	}{
		"a step that succeeds is one line with its time": {
			run:  func(func(string)) error { return nil },
			want: `^cluster-a: etcd ready \(\d+\.\ds\)\n$`,
		},
		"a wait is reported once, and again when it changes": {
			run: func(note func(string)) error {
				note("no answer")
				note("no answer")
				note("503")
				return nil
			},
			want: `^cluster-a: waiting until etcd ready: no answer\ncluster-a: waiting until etcd ready: 503\ncluster-a: etcd ready \(\d+\.\ds\)\n$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := NewReporter(&out).Step("cluster-a", "etcd ready", "", test.run); err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(test.want).MatchString(out.String()) {
				t.Fatalf("printed %q, want %s", out.String(), test.want)
			}
		})
	}
}

func TestAFailureNamesTheStepTheLogAndItsLastLines(t *testing.T) {
	log := filepath.Join(t.TempDir(), "etcd.log")
	if err := os.WriteFile(log, []byte(strings.Repeat("old\n", 30)+"disk full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	reporter := NewReporter(&out)
	err := reporter.Step("cluster-a", "etcd ready", log, func(func(string)) error { return errors.New("exit code 1") })
	reporter.Failure(err)
	for _, want := range []string{"cluster-a: not etcd ready: exit code 1", log, "  | disk full"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if lines := strings.Count(out.String(), "  | "); lines != logLines {
		t.Errorf("%d lines of the log, want %d", lines, logLines)
	}
}
