package lab

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

func clusterWith(objects ...runtime.Object) *cluster {
	return &cluster{clients: &kube.Clients{Typed: fake.NewClientset(objects...)}}
}

func istiodLabels(revision string) map[string]string {
	return map[string]string{"app": "istiod", "istio.io/rev": revision}
}

func istiodDeployment(revision string, wanted, updated, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: moduleNamespace, Name: "istiod-" + revision, Labels: istiodLabels(revision), Generation: 2},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, UpdatedReplicas: updated, ReadyReplicas: ready},
	}
}

func istiodPod(revision, reason, message string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: moduleNamespace, Name: "istiod-" + revision + "-1", Labels: istiodLabels(revision)},
		Status: corev1.PodStatus{Reason: reason, Message: message, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: message},
		}},
	}
}

func TestTheLabWaitsForEveryIstiod(t *testing.T) {
	unobserved := istiodDeployment("v1x31", 1, 1, 1)
	unobserved.Generation = 3
	for name, test := range map[string]struct {
		objects []runtime.Object
		// missing is part of what is said to be missing; empty when nothing is.
		missing string
		// vain is part of the error that ends the wait.
		vain string
	}{
		"none is installed": {nil, "no istiod", ""},
		"all are ready": {
			[]runtime.Object{istiodDeployment("v1x31", 2, 2, 2), istiodDeployment("v1x30", 1, 1, 1)}, "", "",
		},
		"one of two revisions is not ready": {
			[]runtime.Object{istiodDeployment("v1x31", 1, 1, 1), istiodDeployment("v1x30", 1, 1, 0)},
			"0 of 1 Pods of Deployment istiod-v1x30 are ready", "",
		},
		"one of two Pods is not ready": {
			[]runtime.Object{istiodDeployment("v1x31", 2, 2, 1)}, "1 of 2 Pods", "",
		},
		"the ready Pod is of an older template": {
			[]runtime.Object{istiodDeployment("v1x31", 1, 0, 1)}, "1 of 1 Pods", "",
		},
		"the status is older than the Deployment": {
			[]runtime.Object{unobserved}, "Deployment istiod-v1x31", "",
		},
		"what its Pod waits for is said": {
			[]runtime.Object{istiodDeployment("v1x31", 1, 1, 0), istiodPod("v1x31", "", "its probes have not passed yet")},
			"Pod istiod-v1x31-1: its probes have not passed yet", "",
		},
		"waiting for what has not been built is in vain": {
			[]runtime.Object{istiodDeployment("v1x31", 1, 1, 0), istiodPod("v1x31", "NotInLab", "run `make tools`")}, "", "run `make tools`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := clusterWith(test.objects...).rollout(t.Context())
			if test.vain != "" {
				if seen.vain == nil || !strings.Contains(seen.vain.Error(), test.vain) {
					t.Errorf("waiting is in vain because of %v", seen.vain)
				}
				return
			}
			if seen.vain != nil {
				t.Fatal(seen.vain)
			}
			if (seen.missing == "") != (test.missing == "") || !strings.Contains(seen.missing, test.missing) {
				t.Errorf("missing: %q", seen.missing)
			}
			if seen.missing == "" && len(seen.revisions) != len(test.objects) {
				t.Errorf("the revisions are %v", seen.revisions)
			}
		})
	}
}

func TestTheLabWaitsForTheWebhooksOfEveryIstiod(t *testing.T) {
	mutating := func(name string) runtime.Object {
		return &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	validating := func(name string) runtime.Object {
		return &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	all := []runtime.Object{
		validating("istio-validator-v1x31-d8-istio"), validating("istio-validator-v1x30-d8-istio"),
		mutating("istio-revision-tag-default"),
		mutating("istio-sidecar-injector-v1x31-d8-istio"), mutating("istio-sidecar-injector-v1x30-d8-istio"),
	}
	revisions := []string{"v1x31", "v1x30"}
	if missing := clusterWith(all...).missingWebhook(t.Context(), revisions); missing != "" {
		t.Errorf("with all of them: %s", missing)
	}
	for i, object := range all {
		name := object.(metav1.Object).GetName()
		var others []runtime.Object
		others = append(append(others, all[:i]...), all[i+1:]...)
		if missing := clusterWith(others...).missingWebhook(t.Context(), revisions); !strings.Contains(missing, name) {
			t.Errorf("without %s: %q", name, missing)
		}
	}
}
