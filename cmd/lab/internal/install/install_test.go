package install

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/test/support/rendertest"
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

func TestTheModuleAcceptsTheSettings(t *testing.T) {
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
