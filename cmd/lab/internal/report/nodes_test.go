package report

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

func TestNodesAreReportedAsTheyAre(t *testing.T) {
	known := func(ready corev1.ConditionStatus, message string) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, Message: message}}}}
	}
	cordoned := known(corev1.ConditionTrue, "kubelet is fine")
	cordoned.Spec.Unschedulable = true
	for name, test := range map[string]struct {
		pid     int
		known   *corev1.Node
		ready   bool
		message string
	}{
		"Ready":                           {os.Getpid(), known(corev1.ConditionTrue, "kubelet is fine"), true, ""},
		"not Ready":                       {os.Getpid(), known(corev1.ConditionFalse, "no network"), false, "no network"},
		"cordoned":                        {os.Getpid(), cordoned, true, "cordoned"},
		"stopped":                         {0, known(corev1.ConditionTrue, ""), false, "it is stopped"},
		"killed without notice":           {1 << 30, known(corev1.ConditionTrue, ""), false, "it is stopped"},
		"unknown to the API server (yet)": {os.Getpid(), nil, false, "the API server does not know it"},
	} {
		t.Run(name, func(t *testing.T) {
			node := newNode(state.Node{Name: "n", PID: test.pid}, test.known)
			if node.Ready != test.ready || node.Message != test.message {
				t.Errorf("ready %v, message %q; want %v, %q", node.Ready, node.Message, test.ready, test.message)
			}
		})
	}
}

func TestACutLinkIsReportedByItsTwoClusters(t *testing.T) {
	fabric := &state.Fabric{Cuts: [][2]string{{"cluster-a", "cluster-b"}}}
	for cluster, want := range map[string]int{"cluster-a": 1, "cluster-b": 1, "cluster-c": 0} {
		if checks := cutCheck(cluster, fabric); len(checks) != want {
			t.Errorf("%s: %+v", cluster, checks)
		}
	}
}
