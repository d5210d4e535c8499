package embedded_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/lib/embedded"
)

func TestTheModuleYieldsToTheEmbeddedOne(t *testing.T) {
	for name, test := range map[string]struct {
		module  string
		enabled []string
		want    bool
	}{
		"while the embedded module is on":                   {"istio-alliance", []string{"cert-manager", "istio"}, true},
		"not while it is off":                               {"istio-alliance", []string{"cert-manager"}, false},
		"not to another module whose name begins like that": {"istio-alliance", []string{"istio-crd", "istio-alliance"}, false},
		"not to itself, under the same name":                {"istio", []string{"istio"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := embedded.Yields(test.module, test.enabled); got != test.want {
				t.Errorf("%s yields to one of %v: %v, want %v", test.module, test.enabled, got, test.want)
			}
		})
	}
}
