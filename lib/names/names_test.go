package names_test

import (
	"maps"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/deckhouse-mesh/istio/lib/names"
)

func TestRevisionsAreReadFromNames(t *testing.T) {
	for name, want := range map[string]string{
		names.Injector("v1x31"):          "v1x31",
		names.InjectorConfigMap("v1x31"): "",
		names.Validator("v1x31"):         "",
		names.DefaultInjector:            "",
		"istio-sidecar-injector":         "",
	} {
		if got := names.InjectorRevision(name); got != want {
			t.Errorf("the revision of injector %q is %q, want %q", name, got, want)
		}
	}
	if got, ok := names.IstiodRevision(names.Istiod("v1x31")); got != "v1x31" || !ok {
		t.Errorf("the revision of istiod is %q, %v", got, ok)
	}
	if _, ok := names.IstiodRevision("kiali"); ok {
		t.Error("kiali is taken for an istiod")
	}
}

func TestObjectsOfTheModuleHaveBothLabels(t *testing.T) {
	selector, err := labels.Parse(names.ModuleSelector())
	if err != nil {
		t.Fatal(err)
	}
	for missing := range maps.Keys(names.ModuleLabels()) {
		incomplete := names.ModuleLabels()
		delete(incomplete, missing)
		if names.OfModule(incomplete) || selector.Matches(labels.Set(incomplete)) {
			t.Errorf("an object without the label %s counts as the module's", missing)
		}
	}
	if !names.OfModule(names.ModuleLabels()) || !selector.Matches(labels.Set(names.ModuleLabels())) {
		t.Error("an object with the module's labels does not count as the module's")
	}
}
