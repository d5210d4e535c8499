package names

import (
	"testing"

	"github.com/flant/addon-operator/pkg/utils"
)

// TestValuesAreWhereDeckhouseStoresThem compares with the function that derives the key of a module's values.
func TestValuesAreWhereDeckhouseStoresThem(t *testing.T) {
	for _, name := range []string{"istio", "istio-alliance", "istio-1-alliance", "a-long-name"} {
		if got, want := KeyOf(name), utils.ModuleNameToValuesKey(name); got != want {
			t.Errorf("the values of module %s are taken from %s, and Deckhouse stores them at %s", name, got, want)
		}
	}
}

func TestEverythingFollowsTheModulesName(t *testing.T) {
	t.Cleanup(func() { module = Embedded })
	for name, path := range map[string]string{"istio": "istio.federation.enabled", "istio-alliance": "istioAlliance.federation.enabled"} {
		module = name
		if ModuleLabels()[ModuleLabel] != name || ModuleSelector() != "heritage=deckhouse,module="+name || ValuesPath("federation.enabled") != path {
			t.Errorf("module %s has the labels %v, the selector %s and values at %s", name, ModuleLabels(), ModuleSelector(), ValuesPath("federation.enabled"))
		}
	}
	module = "istio-alliance"
	if OfModule(map[string]string{HeritageLabel: Heritage, ModuleLabel: Embedded}) {
		t.Error("an object of the embedded istio counts as istio-alliance's")
	}
}
