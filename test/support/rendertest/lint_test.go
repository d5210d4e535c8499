package rendertest

import (
	"os"
	"path/filepath"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/lint/support"
)

// TestHelmLint lints the chart as the bundle holds it, in a folder named like the module.
func TestHelmLint(t *testing.T) {
	m := load(t)
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "istio")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Chart.yaml", "charts", "templates", "files", "monitoring", ".helmignore"} {
		if err := os.Symlink(filepath.Join(root, part), filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	lint := action.NewLint()
	lint.Strict = true
	result := lint.Run([]string{dir}, m.values(t, federation, nil))
	for _, err := range result.Errors {
		t.Error(err)
	}
	for _, message := range result.Messages {
		if message.Severity >= support.WarningSev {
			t.Error(message)
		}
	}
}
