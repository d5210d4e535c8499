package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

func TestAStepReportsItsWaitAfterAWhileAndRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var printed []string
		note := seldom(func(waiting string) { printed = append(printed, waiting) })
		for second := range 45 {
			note(time.Duration(second * int(time.Second)).String())
			time.Sleep(time.Second)
		}
		if got := strings.Join(printed, " "); got != "21s 32s 43s" {
			t.Errorf("printed at %s", got)
		}
	})
}

func TestALabStartsFreshAndRemovesOnlyWhatALabHasMade(t *testing.T) {
	dir := t.TempDir()
	if err := makeClusterDir(filepath.Join(dir, "cluster-a")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cluster-a/kubeconfig", state.FileName, "failure-1", "cluster-b"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := clean(dir); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got := strings.Join(left, " "); got != "cluster-b failure-1" {
		t.Errorf("left: %s", got)
	}
	if err := makeClusterDir(filepath.Join(dir, "cluster-b")); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("error %v", err)
	}
}

func TestOnlyTheLogsOfEndedNodesRemain(t *testing.T) {
	dir := t.TempDir()
	if err := makeClusterDir(filepath.Join(dir, "cluster-a")); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join("nodes", "cluster-a-1", "var", "lib", "containerd", "blob")
	log := filepath.Join("nodes", "cluster-a-1", "var", "log", "kubelet.log")
	// Whose folder this is, no lab can say.
	for _, file := range []string{filepath.Join("cluster-a", data), filepath.Join("cluster-a", log), filepath.Join("cluster-b", data)} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeNodesData(dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{
		filepath.Join("cluster-a", data): false,
		filepath.Join("cluster-a", log):  true,
		filepath.Join("cluster-b", data): true,
	} {
		if _, err := os.Stat(filepath.Join(dir, file)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", file, err == nil, want)
		}
	}
}

func TestMissingProgramsAreNamedWithWhatBuildsThem(t *testing.T) {
	tools := t.TempDir()
	if err := os.MkdirAll(filepath.Join(tools, "kube"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "kube", "etcd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := FindBinaries(tools)
	if err == nil || !strings.Contains(err.Error(), "make tools") || !strings.Contains(err.Error(), "kube/kubelet") || strings.Contains(err.Error(), "kube/etcd") {
		t.Errorf("error %v", err)
	}
}
