package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

const secondName = "istio-alliance"

// layModule lays the project's module out under a name.
func layModule(t *testing.T, name string) (dir string) {
	t.Helper()
	made := t.TempDir()
	for _, program := range []string{"istio-hooks", enabledProgram} {
		write(t, filepath.Join(made, program), "program")
	}
	write(t, filepath.Join(made, "images_digests.json"), "{}")
	b := bundle{root: realRoot, images: made, bin: made, name: name, version: "v1.2.3", repository: "registry.example.com/modules/" + name}
	entries, err := b.module()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "module")
	if err := writeFolder(dir, entries); err != nil {
		t.Fatal(err)
	}
	return dir
}

// renderer renders the module in a folder as Deckhouse does.
func renderer(t *testing.T, dir string) func(settings map[string]any, change func(rendertest.Values)) rendertest.Objects {
	t.Helper()
	chart, chartErr := rendertest.LoadChart(dir)
	schemas, schemasErr := rendertest.LoadSettings(dir)
	if err := errors.Join(chartErr, schemasErr); err != nil {
		t.Fatal(err)
	}
	return func(settings map[string]any, change func(rendertest.Values)) rendertest.Objects {
		t.Helper()
		values, err := schemas.Values(settings)
		if err != nil {
			t.Fatal(err)
		}
		change(values)
		objects, err := chart.Render(values, "monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule",
			"autoscaling.k8s.io/v1/VerticalPodAutoscaler", "gateway.networking.k8s.io/v1/BackendTLSPolicy")
		if err != nil {
			t.Fatal(err)
		}
		return objects
	}
}

// difference of two objects at a path.
type difference struct {
	path       string
	one, other any
}

func differences(path string, one, other any) []difference {
	if reflect.DeepEqual(one, other) {
		return nil
	}
	ones, isMap := one.(map[string]any)
	others, areMaps := other.(map[string]any)
	if isMap && areMaps {
		var found []difference
		keys := map[string]bool{}
		for _, each := range []map[string]any{ones, others} {
			for key := range each {
				keys[key] = true
			}
		}
		for key := range keys {
			found = append(found, differences(path+"."+key, ones[key], others[key])...)
		}
		return found
	}
	list, isList := one.([]any)
	otherList, areLists := other.([]any)
	if isList && areLists && len(list) == len(otherList) {
		var found []difference
		for index := range list {
			found = append(found, differences(path, list[index], otherList[index])...)
		}
		return found
	}
	return []difference{{path, one, other}}
}

// carriesTheName is true for what has to differ: the label of the module's objects, what selects by
// it, the taint of nodes that are dedicated to the module, and sentences about its ModuleConfig.
func (d difference) carriesTheName() bool {
	one, isText := d.one.(string)
	other, areTexts := d.other.(string)
	if !isText || !areTexts {
		return false
	}
	switch {
	case strings.HasSuffix(d.path, "abels.module"), strings.HasSuffix(d.path, ".selector.module"), strings.HasSuffix(d.path, ".tolerations.value"):
		return one == names.Embedded && other == secondName
	case strings.HasPrefix(d.path, "PrometheusRule/") && strings.HasSuffix(d.path, ".metadata.name"):
		return strings.Replace(one, names.Embedded, secondName, 1) == other
	case strings.HasSuffix(d.path, ".expression"):
		return strings.Replace(one, `!= "istio"`, `!= "istio-alliance"`, 1) == other
	case strings.HasSuffix(d.path, ".description"):
		return strings.ReplaceAll(one, "ModuleConfig `istio`", "ModuleConfig `istio-alliance`") == other
	}
	return false
}

func TestBothNamesRenderTheSame(t *testing.T) {
	renderOne, renderOther := renderer(t, layModule(t, names.Embedded)), renderer(t, layModule(t, secondName))
	for name, settings := range map[string]string{
		"with both kinds":    "{federation: {enabled: true}, multicluster: {enabled: true}}",
		"with many settings": "{federation: {enabled: true}, tlsMode: Mutual, tracing: {enabled: true, collector: {zipkin: {address: \"zipkin.tracing:9411\"}}}, alliance: {ingressGateway: {inlet: NodePort}}}",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			wanted := map[string]any{}
			g.Expect(yaml.Unmarshal([]byte(settings), &wanted)).To(Succeed())
			one, other := renderOne(wanted, withAllModules), renderOther(wanted, asSecond)
			g.Expect(one).To(And(HaveKey("PrometheusRule/istio-federation"), HaveKey("DaemonSet/ingressgateway")))
			more := other.Keys()
			for _, key := range one.Keys() {
				theirs := strings.Replace(key, "PrometheusRule/istio-", "PrometheusRule/istio-alliance-", 1) // Deckhouse's library names them
				g.Expect(other).To(HaveKey(theirs))
				more = slices.DeleteFunc(more, func(key string) bool { return key == theirs })
				for _, found := range differences(key, one[key].Object, other[theirs].Object) {
					if !found.carriesTheName() {
						t.Errorf("%s is %v in istio, and %v in %s", found.path, found.one, found.other, secondName)
					}
				}
			}
			g.Expect(more).To(ConsistOf("ValidatingAdmissionPolicy/d8-istio-alliance-embedded-istio", "ValidatingAdmissionPolicyBinding/d8-istio-alliance-embedded-istio"))
		})
	}
}

// withAllModules has every module that templates ask about.
func withAllModules(values rendertest.Values) {
	values.Set([]any{"cert-manager", "istio", "operator-prometheus-crd", "vertical-pod-autoscaler"}, "global", "enabledModules")
}

// asSecond puts the values where Deckhouse has those of the second name.
func asSecond(values rendertest.Values) {
	withAllModules(values)
	key := names.KeyOf(secondName)
	digests := values["global"].(map[string]any)["modulesImages"].(map[string]any)["digests"].(map[string]any)
	for _, parent := range []map[string]any{values, digests} {
		parent[key] = parent[names.Embedded]
		delete(parent, names.Embedded)
	}
	values.Set([]any{"cert-manager", "istio-alliance", "operator-prometheus-crd", "vertical-pod-autoscaler"}, "global", "enabledModules")
}

func TestTheSecondNameIsWhereverTheModuleIsNamed(t *testing.T) {
	g := NewWithT(t)
	one, other := layModule(t, names.Embedded), layModule(t, secondName)
	content := func(dir, file string) string {
		raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		g.Expect(err).NotTo(HaveOccurred())
		return string(raw)
	}
	for _, file := range []string{"Chart.yaml", "module.yaml"} {
		var definition struct{ Name, Namespace string }
		g.Expect(yaml.Unmarshal([]byte(content(other, file)), &definition)).To(Succeed())
		g.Expect(definition.Name).To(Equal(secondName), file)
	}
	g.Expect(content(other, "module.yaml")).To(ContainSubstring("namespace: d8-istio\n"))
	g.Expect(content(other, "docs/README.md")).To(And(ContainSubstring("title: \"Module istio-alliance\""), ContainSubstring("kind: ModuleConfig\nmetadata:\n  name: istio-alliance\n")))
	g.Expect(content(other, "docs/UPGRADE.md")).NotTo(ContainSubstring("moduleconfig istio "))

	// The same files, but for the program that Deckhouse asks, and the same bytes wherever the module is not named.
	files := inFolder(t, other)
	g.Expect(files).To(HaveKeyWithValue(enabledProgram, os.FileMode(0o755)))
	delete(files, enabledProgram)
	g.Expect(files).To(Equal(inFolder(t, one)))
	for file := range files {
		if strings.HasPrefix(file, "templates/") || strings.HasPrefix(file, "monitoring/") {
			g.Expect(content(other, file)).NotTo(ContainSubstring(".Values.istio."), file)
		} else if !strings.HasPrefix(file, "docs/") && mentions[file] == nil {
			g.Expect(content(other, file) == content(one, file)).To(BeTrue(), file)
		}
	}
}

// TestProgramsAreNoPartOfTheChart: Helm stores the whole chart in a Secret, which holds one megabyte.
func TestProgramsAreNoPartOfTheChart(t *testing.T) {
	g := NewWithT(t)
	chart, err := loader.LoadDir(layModule(t, secondName))
	g.Expect(err).NotTo(HaveOccurred())
	for _, file := range chart.Files {
		top, _, _ := strings.Cut(file.Name, "/")
		g.Expect(top).To(BeElementOf("files", "monitoring"), file.Name)
	}
}

func TestTheLabsOperatorHasTheModuleByItsName(t *testing.T) {
	g := NewWithT(t)
	root := fakeProject(t)
	for _, program := range []string{"istio-hooks", "operator-bundled", enabledProgram} {
		write(t, filepath.Join(root, "bin", secondName, program), "with the name linked in")
	}
	out := mustLay(t, root, "--module", secondName)
	found := inImage(t, image(t, out, labOperator))
	g.Expect(found).To(And(HaveKey("modules/110-istio-alliance/enabled"), HaveKey("modules/110-istio-alliance/hooks/istio-hooks")))
	g.Expect(inImage(t, image(t, out, "ghcr.io/deckhouse-mesh/istio-alliance:v0.0.0-dev"))).To(HaveKey("module.yaml"))
}

func TestANameThatIsNotTheModulesIsRejected(t *testing.T) {
	for _, name := range []string{"Istio", "alliance", "istio_alliance", "istio-"} {
		err := run([]string{"--root", fakeProject(t), "--out", t.TempDir(), "--module", name}, io.Discard)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(fmt.Sprintf("--module: %q", name))))
	}
}
