package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

func TestCleanRemovesWhatALabMadeAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := makeClusterDir(filepath.Join(dir, "cluster-a")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cluster-a/kubeconfig", "cluster-b/precious", "settings.yaml", state.FileName} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := clean(dir); err != nil {
		t.Fatal(err)
	}
	for file, kept := range map[string]bool{"cluster-a": false, state.FileName: false, "cluster-b/precious": true, "settings.yaml": true} {
		if _, err := os.Stat(filepath.Join(dir, file)); (err == nil) != kept {
			t.Errorf("%s: %v, want kept = %t", file, err, kept)
		}
	}
	if err := makeClusterDir(filepath.Join(dir, "cluster-b")); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("a folder that no lab made is taken: %v", err)
	}
}
