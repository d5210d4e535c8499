package report

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestMulticlusterChecks(t *testing.T) {
	for name, test := range map[string]struct {
		status  map[string]any
		ok      bool
		message string
	}{
		"ready is as expected": {
			map[string]any{
				"conditions":    []any{map[string]any{"type": "Ready", "status": "True", "reason": "Joined"}},
				"metadataCache": map[string]any{"private": map[string]any{"networkName": "network-b"}},
			}, true, "",
		},
		"not ready shows the reason": {
			map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "PeerAPIUnreachable", "message": "no answer"}}},
			false, "PeerAPIUnreachable: no answer",
		},
		"without a condition it has not been looked at": {map[string]any{}, false, "the module has not looked at it yet"},
	} {
		t.Run(name, func(t *testing.T) {
			resource := &unstructured.Unstructured{Object: map[string]any{"status": test.status}}
			resource.SetName("cluster-b")
			cluster := Cluster{Kubeconfig: "/lab/kubeconfig"}
			seen := newMulticluster(resource)
			check := cluster.peerCheck(seen.Peer, "it is part of the mesh", "istiomulticluster")
			if check.OK != test.ok || check.Message != test.message {
				t.Fatalf("check %+v", check)
			}
			if check.OK && seen.NetworkName != "network-b" {
				t.Errorf("its network is %q", seen.NetworkName)
			}
			if !check.OK && !strings.Contains(check.Hint, "/lab/kubeconfig") {
				t.Fatalf("hint %q does not lead to the cluster", check.Hint)
			}
		})
	}
}

func TestTheReportQuotesIstiodsStatusOfARemoteCluster(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		err    error
		ok     bool
		want   string
	}{
		"it has read it":      {"synced", nil, true, ""},
		"it cannot":           {"timeout", nil, false, "timeout"},
		"it does not know it": {"", nil, false, "does not know"},
		"it does not answer":  {"", errors.New("connection refused"), false, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			check := readCheck("v1x31", "cluster-b", test.status, test.err)
			if check.OK != test.ok || !strings.Contains(check.Message, test.want) || (check.Hint == "") != test.ok {
				t.Errorf("check %+v", check)
			}
		})
	}
}
