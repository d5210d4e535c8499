package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

func TestAReportNeedsNeitherALabNorAPIServers(t *testing.T) {
	dir := t.TempDir()
	described := state.Lab{Mode: "federation", PID: 1 << 30, Clusters: []state.Cluster{{
		Name: "cluster-a", APIServer: "https://127.0.0.1:1", Kubeconfig: filepath.Join(dir, "absent"),
		Nodes: []state.Node{{Name: "cluster-a-1", PID: 1 << 30}},
	}}}
	if err := state.NewFile(dir).Replace(described); err != nil {
		t.Fatal(err)
	}
	lab, err := New(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if lab.Running || lab.OK {
		t.Fatalf("a lab that is gone is reported as running = %t, ok = %t", lab.Running, lab.OK)
	}
	var out bytes.Buffer
	if err := lab.Print(&out, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT running", "× the API server answers"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestFederationChecks(t *testing.T) {
	condition := func(status, reason, message string) map[string]any {
		return map[string]any{"status": map[string]any{
			"importedServices": int64(3),
			"conditions":       []any{map[string]any{"type": "Ready", "status": status, "reason": reason, "message": message}},
		}}
	}
	for name, test := range map[string]struct {
		object  map[string]any
		ok      bool
		message string
	}{
		"ready is as expected":                          {condition("True", "Federated", "all well"), true, ""},
		"not ready shows the reason":                    {condition("False", "PeerUnreachable", "no answer"), false, "PeerUnreachable: no answer"},
		"without a condition it has not been looked at": {map[string]any{}, false, "the module has not looked at it yet"},
	} {
		t.Run(name, func(t *testing.T) {
			resource := &unstructured.Unstructured{Object: test.object}
			resource.SetName("cluster-b")
			cluster := Cluster{Kubeconfig: "/lab/kubeconfig"}
			check := cluster.peerCheck(newFederation(resource).Peer, "the federation works", "istiofederation")
			if check.OK != test.ok || check.Message != test.message {
				t.Fatalf("check %+v", check)
			}
			if !check.OK && !strings.Contains(check.Hint, "/lab/kubeconfig") {
				t.Fatalf("hint %q does not lead to the cluster", check.Hint)
			}
		})
	}
}

func TestAWarningDoesNotRejectSettings(t *testing.T) {
	for message, ok := range map[string]bool{"": true, "Warning: Istio 1.29 is old": true, "Invalid, nothing is in force": false, "Not applied, …": false} {
		config := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"message": message}}}
		if check := settingsCheck("istio-alliance", config); check.OK != ok || check.Message != message || !strings.Contains(check.Name+check.Hint, "istio-alliance") {
			t.Errorf("%q: %+v", message, check)
		}
	}
}
