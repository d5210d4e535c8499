package rollout_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
)

func TestTheReportSaysWhyPodsAreNotReady(t *testing.T) {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		events []string
		want   string
	}{
		"a ready Pod needs no reason": {corev1.PodStatus{Conditions: []corev1.PodCondition{ready}}, nil, ""},
		"an image that cannot be pulled": {
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "discovery", State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"},
			}}}}, nil, ": Pod p: container discovery: ImagePullBackOff: not found",
		},
		"a container that crashed": {
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "operator", LastTerminationState: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"},
			}}}}, nil, ": Pod p: container operator: ended with 2 (Error)",
		},
		"a Pod that fits nowhere": {
			corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"}}},
			nil, ": Pod p: Unschedulable: 0/1 nodes",
		},
		"a probe that fails": {corev1.PodStatus{Phase: corev1.PodRunning}, []string{"Readiness probe failed: 503"},
			": Pod p: it is Running (Unhealthy: Readiness probe failed: 503)"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d8-istio", Name: "p", UID: "u", Labels: map[string]string{"app": "p"}}, Status: test.status}
			objects := []runtime.Object{pod}
			for _, message := range test.events {
				objects = append(objects, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "d8-istio", Name: "e"},
					InvolvedObject: corev1.ObjectReference{UID: "u"}, Type: "Warning", Reason: "Unhealthy", Message: message})
			}
			got := rollout.Explain(t.Context(), fake.NewClientset(objects...), "d8-istio", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "p"}})
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestADaemonSetWithoutNodesIsNotReady(t *testing.T) {
	if rollout.DaemonSetMissing(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ingressgateway"}}) == "" {
		t.Error("a DaemonSet without a Pod counts as ready")
	}
}
