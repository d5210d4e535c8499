package evidence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// TestMain is kubectl, too, when it is called so: the lab has one program for all of Kubernetes.
func TestMain(m *testing.M) {
	if os.Args[0] == "kubectl" {
		fmt.Println("no answer to", os.Args[3])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestLogsAndAnswersAreRetainedAlsoWhenTheAPIServerIsDown(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "cluster-a", "nodes", "cluster-a-1", "var", "log")
	container := filepath.Join(logs, "pods", "demo_web_1", "web")
	if err := os.MkdirAll(container, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{filepath.Join(logs, "kubelet.log"): "kubelet", filepath.Join(container, "0.log"): "web"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectl, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lab := state.Lab{Clusters: []state.Cluster{{Name: "cluster-a", Nodes: []state.Node{{Name: "cluster-a-1", Logs: logs, PID: os.Getpid()}, {Name: "cluster-a-2", Logs: dir + "/absent"}}}}}
	folder, err := Collect(t.Context(), dir, kubectl, lab)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"cluster-a/nodes/cluster-a-1/kubelet.log":               "kubelet",
		"cluster-a/nodes/cluster-a-1/pods/demo_web_1/web/0.log": "web",
		"cluster-a/pods.txt":                                    "no answer to describe\nkubectl ended: exit status 1\n",
	} {
		content, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %q, %v; want %q", file, content, err, want)
		}
	}
	// Whoever may not enter a network namespace reads so instead.
	content, err := os.ReadFile(filepath.Join(folder, "cluster-a/nodes/cluster-a-1/network.txt"))
	if err != nil || !strings.Contains(string(content), "ip_forward:") && !strings.Contains(string(content), "nsenter ended: ") {
		t.Errorf("the node's network: %q, %v", content, err)
	}
}
