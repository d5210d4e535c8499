package crdschema_test

import (
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/crdschema"
)

func crd(t *testing.T, versions string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	var parsed apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict([]byte("spec: {versions: ["+versions+"]}"), &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func v1(schema string) string {
	return "{name: v1, served: true, schema: {openAPIV3Schema: {properties: {spec: " + schema + "}}}}"
}

func TestWhatACRDKnowsBeyondAnotherIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		installed, candidate string
		want                 []string
	}{
		"the same":                            {v1(`{properties: {hosts: {}}}`), v1(`{properties: {hosts: {}}}`), nil},
		"an older one":                        {v1(`{properties: {hosts: {}}}`), v1(`{properties: {hosts: {}, added: {}}}`), nil},
		"one more field":                      {v1(`{properties: {hosts: {}, newer: {}}}`), v1(`{properties: {hosts: {}}}`), []string{"v1 .spec.newer"}},
		"one more field deep below":           {v1(`{properties: {a: {items: {properties: {b: {}}}}}}`), v1(`{properties: {a: {items: {properties: {}}}}}`), []string{"v1 .spec.a[].b"}},
		"one more field in a map":             {v1(`{additionalProperties: {properties: {b: {}}}}`), v1(`{additionalProperties: {properties: {c: {}}}}`), []string{"v1 .spec.*.b"}},
		"one more value":                      {v1(`{enum: [A, B]}`), v1(`{enum: [A]}`), []string{"v1 .spec=B"}},
		"a value where all are allowed":       {v1(`{enum: [A, B]}`), v1(`{}`), nil},
		"one more version":                    {v1(`{}`) + ", {name: v2, served: true}", v1(`{}`), []string{"v2"}},
		"one more version that is not served": {v1(`{}`) + ", {name: v2, served: false}", v1(`{}`), nil},
		"a field where nothing is pruned":     {v1(`{properties: {newer: {}}}`), v1(`{x-kubernetes-preserve-unknown-fields: true}`), nil},
		"each knows something of its own":     {v1(`{properties: {theirs: {}}}`), v1(`{properties: {ours: {}}}`), []string{"v1 .spec.theirs"}},
		"another text of the same":            {v1(`{description: a, properties: {hosts: {description: b}}}`), v1(`{properties: {hosts: {}}}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := crdschema.Beyond(crd(t, test.installed), crd(t, test.candidate)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
