package federation_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	kubejson "k8s.io/apimachinery/pkg/util/json"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/test/support/crdtest"
	"github.com/deckhouse-mesh/istio/test/support/federationtest"
)

// TestTheAPIServerAcceptsTheObjectsOfAnyPublishedServices asks Istio's CRDs;
// Istio's own validation is asked in tools/istio-v1x31.
func TestTheAPIServerAcceptsTheObjectsOfAnyPublishedServices(t *testing.T) {
	const definitions = "../../crds/istio/crd-all.gen.yaml"
	schemas := map[string]*crdtest.Schema{}
	for kind, name := range map[string]string{
		federation.ServiceEntryKind: "serviceentries.networking.istio.io", federation.DestinationRuleKind: "destinationrules.networking.istio.io",
	} {
		schema, err := crdtest.LoadVersion(definitions, name, "v1")
		if err != nil {
			t.Fatalf("%v; make generate copies the definitions from Istio", err)
		}
		schemas[kind] = schema
	}
	seed := rand.Uint64()
	objects, err := federationtest.Objects(seed, 150)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, object := range objects {
		encoded, err := json.Marshal(object.Unstructured().Object)
		if err != nil {
			t.Fatal(err)
		}
		var received, read map[string]any
		if err := errors.Join(kubejson.Unmarshal(encoded, &received), json.Unmarshal(encoded, &read)); err != nil {
			t.Fatal(err)
		}
		if err := schemas[object.Kind].Validate(received); err != nil {
			t.Errorf("seed %d: %s %s: %v", seed, object.Kind, object.Name, err)
		}
		if !reflect.DeepEqual(read["spec"], any(object.Spec)) {
			t.Errorf("seed %d: %s %s differs from what comes back from the API server", seed, object.Kind, object.Name)
		}
		if len(object.Name) > 253 {
			t.Errorf("seed %d: a name of %d characters", seed, len(object.Name))
		}
		names[object.Kind+object.Name] = true
	}
	if len(objects) < 50 {
		t.Errorf("seed %d: %d objects are too few to mean anything", seed, len(objects))
	}
	if len(names) != len(objects) {
		t.Errorf("seed %d: %d objects share %d names", seed, len(objects), len(names))
	}
}
