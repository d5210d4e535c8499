package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

const widgetCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.networking.istio.io}
spec:
  group: networking.istio.io
  scope: Cluster
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

var _ = Describe("Hook ensure_crds", func() {
	It("installs the module's and Istio's CRDs and waits until they are served", func() {
		dir := GinkgoT().TempDir()
		Expect(os.MkdirAll(filepath.Join(dir, "crds", "istio"), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "crds", "istio", "all.gen.yaml"), []byte(widgetCRD), 0o600)).To(Succeed())
		for _, name := range []string{"istiofederation.yaml", "istiomulticluster.yaml"} {
			own, err := os.ReadFile(filepath.Join("..", "crds", name))
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(filepath.Join(dir, "crds", name), own, 0o600)).To(Succeed())
		}

		r := newRun(ensureCRDs(dir), federationSettings).given("")
		asAPIServer := r.KubeClient().(*dynamicfake.FakeDynamicClient)
		// Of another owner, for which the hook must not wait.
		foreign := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": "gadgets.deckhouse.io", "labels": map[string]any{"heritage": "deckhouse"}},
			"spec":     map[string]any{"group": "deckhouse.io"},
		}}
		crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
		Expect(asAPIServer.Tracker().Create(crds, foreign, "")).To(Succeed())
		failures := 0
		asAPIServer.PrependReactor("get", "customresourcedefinitions", func(action clienttesting.Action) (bool, runtime.Object, error) {
			name := action.(clienttesting.GetAction).GetName()
			if _, err := asAPIServer.Tracker().Get(crds, "", "istiofederations.deckhouse.io"); err != nil || name != "istiofederations.deckhouse.io" || failures == 2 {
				return false, nil, nil
			}
			failures++
			return true, nil, errors.New("the server is busy")
		})
		asAPIServer.PrependReactor("create", "customresourcedefinitions", func(action clienttesting.Action) (bool, runtime.Object, error) {
			crd := action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
			return false, nil, unstructured.SetNestedSlice(crd.Object, []any{map[string]any{"type": "Established", "status": "True"}}, "status", "conditions")
		})
		r.succeeds()
		Expect(failures).To(Equal(2), "an answer that fails is asked for again")
		for _, name := range []string{"istiofederations.deckhouse.io", "istiomulticlusters.deckhouse.io", "widgets.networking.istio.io"} {
			Expect(r.KubernetesGlobalResource("CustomResourceDefinition", name)).NotTo(BeNil(), name)
		}
	})

	It("does not replace the CRDs of a newer Istio, and reports it", func() {
		dir := GinkgoT().TempDir()
		Expect(os.MkdirAll(filepath.Join(dir, "crds", "istio"), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "crds", "istio", "all.gen.yaml"), []byte("# Of Istio\n---\n"+widgetCRD+"---\n"+
			strings.ReplaceAll(strings.ReplaceAll(widgetCRD, "Widget", "Gadget"), "widget", "gadget")), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "crds", "own.yaml"), []byte(
			strings.ReplaceAll(strings.ReplaceAll(widgetCRD, "Widget", "Own"), "widget", "own")), 0o600)).To(Succeed())

		r := newRun(ensureCRDs(dir), federationSettings).given("")
		asAPIServer := r.KubeClient().(*dynamicfake.FakeDynamicClient)
		newer := map[string]any{}
		Expect(yaml.Unmarshal([]byte(strings.Replace(widgetCRD, "{type: object}", "{type: object, properties: {newer: {type: string}}}", 1)), &newer)).To(Succeed())
		newer["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
		Expect(asAPIServer.Tracker().Create(crdResource, &unstructured.Unstructured{Object: newer}, "")).To(Succeed())
		asAPIServer.PrependReactor("create", "customresourcedefinitions", func(action clienttesting.Action) (bool, runtime.Object, error) {
			crd := action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
			return false, nil, unstructured.SetNestedSlice(crd.Object, []any{map[string]any{"type": "Established", "status": "True"}}, "status", "conditions")
		})
		r.succeeds()

		installed := r.KubernetesGlobalResource("CustomResourceDefinition", "widgets.networking.istio.io")
		text, err := yaml.Marshal(installed.Object)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(ContainSubstring("newer:"))
		Expect(r.KubernetesGlobalResource("CustomResourceDefinition", "gadgets.networking.istio.io")).NotTo(BeNil(), "the others are installed")
		Expect(r.events(newerCRDEvent)).To(ConsistOf(And(ContainSubstring("widgets.networking.istio.io is not replaced"), ContainSubstring("v1 .newer"))))
	})

	It("reports which file is invalid", func() {
		dir := GinkgoT().TempDir()
		Expect(os.MkdirAll(filepath.Join(dir, "crds", "istio"), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "crds", "istio", "broken.yaml"), []byte("kind: ConfigMap\napiVersion: v1\n"), 0o600)).To(Succeed())
		r := newRun(ensureCRDs(dir), federationSettings).given("")
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("broken.yaml")))
	})

	It("reports that CRDs are missing instead of installing none", func() {
		r := newRun(ensureCRDs(GinkgoT().TempDir()), federationSettings).given("")
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("make generate")))
	})
})
