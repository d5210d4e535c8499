package install

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/lib/rendertest"
)

func operatorDeployment(t *testing.T, cluster *Cluster) (objects []map[string]any, deployment appsv1.Deployment) {
	t.Helper()
	objects, err := cluster.operatorObjects()
	if err != nil {
		t.Fatal(err)
	}
	last := objects[len(objects)-1]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(last, &deployment); err != nil {
		t.Fatal(err)
	}
	return objects, deployment
}

func TestTheOperatorRunsTheImageThatIsInstalled(t *testing.T) {
	objects, deployment := operatorDeployment(t, &Cluster{Image: "registry.example.com/operator@sha256:1", Arguments: []string{"--log-level=debug"}})
	container := deployment.Spec.Template.Spec.Containers[0]
	if container.Image != "registry.example.com/operator@sha256:1" {
		t.Errorf("its image is %s", container.Image)
	}
	if got := strings.Join(container.Args, " "); got != "start --log-level=debug" {
		t.Errorf("its arguments are %s", got)
	}
	if first := (&unstructured.Unstructured{Object: objects[0]}).GetKind(); first != "Namespace" {
		t.Errorf("a %s is applied first, before the namespace that it is in", first)
	}
}

func TestDigestsOfOtherImagesAreMounted(t *testing.T) {
	objects, deployment := operatorDeployment(t, &Cluster{Image: "operator:1", ImagesDigests: []byte(`{"kiali":"sha256:1"}`)})
	spec := deployment.Spec.Template.Spec
	if got := strings.Join(spec.Containers[0].Args, " "); got != "start --images-digests=/etc/istio-operator/images/images_digests.json" {
		t.Errorf("its arguments are %s", got)
	}
	name := spec.Volumes[len(spec.Volumes)-1].ConfigMap.Name
	configMap := unstructured.Unstructured{Object: objects[len(objects)-2]}
	if configMap.GetKind() != "ConfigMap" || configMap.GetName() != name {
		t.Errorf("ConfigMap %s is mounted, and %s %s comes before the Deployment", name, configMap.GetKind(), configMap.GetName())
	}
	if mount := spec.Containers[0].VolumeMounts[len(spec.Containers[0].VolumeMounts)-1]; mount.MountPath != "/etc/istio-operator/images" {
		t.Errorf("they are mounted at %s", mount.MountPath)
	}
}

func TestSettingsAreOnesThatTheModuleTakes(t *testing.T) {
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := rendertest.LoadSettings(root)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := Settings([]Kind{Federation, Multicluster}, []byte("tlsMode: Mutual\ncontrolPlane: {resourcesManagement: {static: {requests: {cpu: 1}}}}\n"))
	if err == nil {
		err = schema.Check(settings)
	}
	if err == nil || !strings.Contains(err.Error(), "cpu") {
		t.Errorf("a CPU request that is a number gets the error %v", err)
	}
	settings, err = Settings([]Kind{Federation}, []byte("federation: {enabled: false}\nsidecar: {resourcesManagement: {static: {requests: {cpu: 100m}}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Check(settings); err != nil {
		t.Error(err)
	}
	if Enabled(settings, Federation) || Enabled(settings, Multicluster) {
		t.Error("federation is on, though the person's settings switch it off")
	}
	requests, _, _ := unstructured.NestedStringMap(settings, "sidecar", "resourcesManagement", "static", "requests")
	if requests["cpu"] != "100m" || requests["memory"] != "64Mi" {
		t.Errorf("a sidecar requests %v", requests)
	}
}

func TestWhyPodsAreNotReady(t *testing.T) {
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
			got := explain(t.Context(), fake.NewClientset(objects...), "d8-istio", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "p"}})
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestADaemonSetWithoutNodesIsNotReady(t *testing.T) {
	if daemonSetMissing(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ingressgateway"}}) == "" {
		t.Error("a DaemonSet without a Pod counts as ready")
	}
}
