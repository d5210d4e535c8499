package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/deploy/operator"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

func operatorDeployment(t *testing.T, cluster *Cluster) (objects []*unstructured.Unstructured, deployment appsv1.Deployment) {
	t.Helper()
	chart, err := operator.Chart()
	if err != nil {
		t.Fatal(err)
	}
	values, err := cluster.values()
	if err != nil {
		t.Fatal(err)
	}
	objects, err = operator.Render(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	last := objects[len(objects)-1]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(last.Object, &deployment); err != nil {
		t.Fatal(err)
	}
	return objects, deployment
}

func TestTheOperatorRunsTheImageThatIsInstalled(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	for _, image := range []string{"registry.example.com:5000/operator@" + digest, "registry.example.com:5000/operator:1.2", "operator:1"} {
		_, deployment := operatorDeployment(t, &Cluster{Image: image, Arguments: []string{"--log-level=debug"}})
		container := deployment.Spec.Template.Spec.Containers[0]
		if container.Image != image {
			t.Errorf("%s is installed, and its image is %s", image, container.Image)
		}
		if got := container.Args; got[0] != "start" || got[len(got)-1] != "--log-level=debug" {
			t.Errorf("its arguments are %s", got)
		}
	}
}

func TestHooksThatAreProcessesHaveRoomBesideTheOperator(t *testing.T) {
	_, linked := operatorDeployment(t, &Cluster{Image: "operator:1"})
	_, processes := operatorDeployment(t, &Cluster{Image: "operator:1", HooksAreProcesses: true})
	limit := func(of appsv1.Deployment) int64 {
		return of.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value()
	}
	if limit(processes) <= limit(linked) {
		t.Errorf("with hooks as processes the operator may use %d bytes, without %d", limit(processes), limit(linked))
	}
}

func TestTheModulesNameIsThatOfItsModuleConfigAndOfTheChartsValue(t *testing.T) {
	for given, name := range map[string]string{"": "istio", "istio-alliance": "istio-alliance"} {
		cluster := &Cluster{Image: "operator:1", ModuleName: given}
		values, err := cluster.values()
		if err != nil {
			t.Fatal(err)
		}
		metadata, _ := cluster.moduleConfig()["metadata"].(map[string]any)
		if values["module"] != name || metadata["name"] != name {
			t.Errorf("module %q: the chart's value is %v, and the ModuleConfig is %v", given, values["module"], metadata["name"])
		}
	}
}

func TestDigestsOfOtherImagesAreMounted(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	objects, deployment := operatorDeployment(t, &Cluster{Image: "operator:1", ImagesDigests: []byte(`{"kiali":"` + digest + `"}`)})
	spec := deployment.Spec.Template.Spec
	if got := spec.Containers[0].Args; !slices.Contains(got, "--images-digests=/etc/istio-operator/images/images_digests.json") {
		t.Errorf("its arguments are %s", got)
	}
	name := spec.Volumes[len(spec.Volumes)-1].ConfigMap.Name
	if !slices.ContainsFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "ConfigMap" && object.GetName() == name
	}) {
		t.Errorf("ConfigMap %s is mounted and not installed", name)
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
	settings, err := Settings([]Kind{Federation, Multicluster}, []byte("tlsMode: Mutual\ncontrolPlane: {resourcesManagement: {static: {requests: {cpu: [1]}}}}\n"))
	if err == nil {
		err = schema.Check(settings)
	}
	if err == nil || !strings.Contains(err.Error(), "cpu") {
		t.Errorf("a CPU request that is a list gets the error %v", err)
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

func TestTheModuleConfigsAreOfTheNewestVersions(t *testing.T) {
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	for file, version := range map[string]int{
		"openapi/config-values.yaml":              moduleSettingsVersion,
		"global-hooks/openapi/config-values.yaml": globalSettingsVersion,
	} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Version int `json:"x-config-version"`
		}
		if err := yaml.Unmarshal(content, &schema); err != nil {
			t.Fatal(err)
		}
		if schema.Version != version {
			t.Errorf("the lab writes settings of version %d, and %s has version %d", version, file, schema.Version)
		}
	}
}
