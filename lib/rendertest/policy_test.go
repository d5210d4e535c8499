package rendertest

import (
	"strings"
	"testing"

	celgo "github.com/google/cel-go/cel"
	policyv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// TestAdmissionPolicy runs the policy's expressions in the API server's own
// CEL environment: RBAC lets the exporter patch, the policy lets it poke.
func TestAdmissionPolicy(t *testing.T) {
	const before = `
apiVersion: deckhouse.io/v1alpha1
kind: IstioFederation
metadata:
  name: cluster-b
  annotations: {note: mine, istio.deckhouse.io/peer-metadata-revision: "1"}
  labels: {team: shop}
  finalizers: [example.com/wait]
spec: {trustDomain: cluster-b.local, metadataEndpoint: https://istio.b.example.com/metadata/}
`
	const bare = `
apiVersion: deckhouse.io/v1alpha1
kind: IstioFederation
metadata: {name: cluster-b}
spec: {trustDomain: cluster-b.local, metadataEndpoint: https://istio.b.example.com/metadata/}
`
	const poke = v1alpha1.PokeAnnotation
	policy := mustDecode[*policyv1.ValidatingAdmissionPolicy](t, load(t).render(t, federation, nil),
		"ValidatingAdmissionPolicy/metadata-exporter.istio.deckhouse.io")
	tests := []struct {
		name   string
		before string
		change func(map[string]any)
		denied string // part of the message; empty: allowed
	}{
		{"a poke is allowed", before, func(o map[string]any) { set(o, "2", "metadata", "annotations", poke) }, ""},
		{"a first poke is allowed", bare, func(o map[string]any) { set(o, "1", "metadata", "annotations", poke) }, ""},
		{"no change is allowed", before, func(map[string]any) {}, ""},
		{
			"another annotation changed", before,
			func(o map[string]any) { set(o, "yours", "metadata", "annotations", "note") }, "no annotation but",
		},
		{
			"another annotation added", bare,
			func(o map[string]any) { set(o, "new", "metadata", "annotations", "note") }, "no annotation but",
		},
		{
			"another annotation removed", before,
			func(o map[string]any) { unstructured.RemoveNestedField(o, "metadata", "annotations", "note") }, "no annotation but",
		},
		{
			"the spec changed", before,
			func(o map[string]any) { set(o, "https://evil.example.com/", "spec", "metadataEndpoint") }, "not change the spec",
		},
		{"the spec removed", before, func(o map[string]any) { delete(o, "spec") }, "not change the spec"},
		{"a label changed", before, func(o map[string]any) { set(o, "other", "metadata", "labels", "team") }, "labels"},
		{"a label added", bare, func(o map[string]any) { set(o, "x", "metadata", "labels", "new") }, "labels"},
		{
			"a finalizer removed", before,
			func(o map[string]any) { unstructured.RemoveNestedField(o, "metadata", "finalizers") }, "finalizers",
		},
		{
			"an owner added", bare,
			func(o map[string]any) {
				set(o, []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}}, "metadata", "ownerReferences")
			}, "owners",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old, updated := fromYAML(t, test.before), fromYAML(t, test.before)
			test.change(updated)
			messages := denials(t, policy, old, updated)
			switch {
			case test.denied == "" && len(messages) > 0:
				t.Errorf("denied: %v", messages)
			case test.denied != "" && !strings.Contains(strings.Join(messages, "; "), test.denied):
				t.Errorf("denials are %v, want one about %q", messages, test.denied)
			case test.denied != "" && len(messages) > 1:
				t.Errorf("one change is denied %d times: %v", len(messages), messages)
			}
		})
	}
}

func TestAdmissionPolicyIsForTheExporterOnly(t *testing.T) {
	policy := mustDecode[*policyv1.ValidatingAdmissionPolicy](t, load(t).render(t, federation, nil),
		"ValidatingAdmissionPolicy/metadata-exporter.istio.deckhouse.io")
	compiler := newCompiler(t)
	condition := compiler.CompileCondition([]plugincel.ExpressionAccessor{expression{text: policy.Spec.MatchConditions[0].Expression}},
		plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	for name, wanted := range map[string]bool{
		"system:serviceaccount:d8-istio:metadata-exporter":  true,
		"system:serviceaccount:d8-istio:ingressgateway":     false,
		"system:serviceaccount:default:metadata-exporter":   false,
		"system:serviceaccount:d8-system:deckhouse":         false,
		"system:serviceaccount:d8-istio:metadata-exporter2": false,
	} {
		attributes, request := update(map[string]any{}, map[string]any{})
		request.UserInfo = authenticationv1.UserInfo{Username: name}
		results, _, err := condition.ForInput(t.Context(), attributes, request, plugincel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
		if err != nil || results[0].Error != nil {
			t.Fatal(err, results)
		}
		if got := results[0].EvalResult.Value() == true; got != wanted {
			t.Errorf("the policy holds for %s: %v, want %v", name, got, wanted)
		}
	}
}

// denials returns the messages of the validations that an update fails.
func denials(t *testing.T, policy *policyv1.ValidatingAdmissionPolicy, old, updated map[string]any) []string {
	t.Helper()
	compiler := newCompiler(t)
	for _, variable := range policy.Spec.Variables {
		result := compiler.CompileAndStoreVariable(expression{name: variable.Name, text: variable.Expression},
			plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
		if result.Error != nil {
			t.Fatalf("variable %s: %v", variable.Name, result.Error)
		}
	}
	var expressions []plugincel.ExpressionAccessor
	for _, validation := range policy.Spec.Validations {
		expressions = append(expressions, expression{text: validation.Expression})
	}
	evaluator := compiler.CompileCondition(expressions, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
	attributes, request := update(old, updated)
	results, _, err := evaluator.ForInput(t.Context(), attributes, request, plugincel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for i, result := range results {
		if result.Error != nil {
			t.Fatalf("%s: %v", policy.Spec.Validations[i].Expression, result.Error)
		}
		if result.EvalResult.Value() != true {
			messages = append(messages, policy.Spec.Validations[i].Message)
		}
	}
	return messages
}

func newCompiler(t *testing.T) *plugincel.CompositedCompiler {
	t.Helper()
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true))
	if err != nil {
		t.Fatal(err)
	}
	return compiler
}

func update(old, updated map[string]any) (*admission.VersionedAttributes, *admissionv1.AdmissionRequest) {
	kind := schema.GroupVersionKind{Group: v1alpha1.Group, Version: v1alpha1.Version, Kind: v1alpha1.IstioFederationKind}
	resource := schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource}
	object, oldObject := &unstructured.Unstructured{Object: updated}, &unstructured.Unstructured{Object: old}
	attributes := admission.NewAttributesRecord(object, oldObject, kind, "", "cluster-b", resource, "", admission.Update, nil, false,
		&user.DefaultInfo{Name: "system:serviceaccount:d8-istio:metadata-exporter"})
	versioned := &admission.VersionedAttributes{
		Attributes: attributes, VersionedKind: kind, VersionedObject: object, VersionedOldObject: oldObject,
	}
	return versioned, &admissionv1.AdmissionRequest{}
}

// expression is one expression, or one named variable, of a policy.
type expression struct{ name, text string }

func (e expression) GetName() string       { return e.name }
func (e expression) GetExpression() string { return e.text }
func (e expression) ReturnTypes() []*celgo.Type {
	return []*celgo.Type{celgo.AnyType, celgo.DynType}
}

func set(object map[string]any, value any, path ...string) { Values(object).Set(value, path...) }
