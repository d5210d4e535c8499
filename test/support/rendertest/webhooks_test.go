package rendertest

import (
	"testing"

	celgo "github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admission/v1"
	webhooksv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

// TestIstiodIsNotAskedAboutPodsThatTheClusterNeeds: a webhook with failurePolicy
// Fail and an istiod that is gone would keep them from being created.
func TestIstiodIsNotAskedAboutPodsThatTheClusterNeeds(t *testing.T) {
	objects := load(t).render(t, "{}", nil)
	asked := func(webhook webhooksv1.MutatingWebhook, namespace, pod labels.Set) bool {
		return selects(t, webhook.NamespaceSelector, namespace) && selects(t, webhook.ObjectSelector, pod)
	}
	webhooks := injectionWebhooks(t, objects)
	for name, test := range map[string]struct{ namespace, pod labels.Set }{
		"where the namespace asks for sidecars":   {labels.Set{"istio-injection": "enabled"}, nil},
		"where the namespace names a revision":    {labels.Set{"istio.io/rev": "v1x30"}, nil},
		"where the namespace names the default":   {labels.Set{"istio.io/rev": "default"}, nil},
		"where the Pod asks for a sidecar":        {nil, labels.Set{"sidecar.istio.io/inject": "true"}},
		"where the Pod names a revision":          {nil, labels.Set{"istio.io/rev": "v1x30"}},
		"where the Pod names the default one":     {nil, labels.Set{"istio.io/rev": "default"}},
		"where the Pod names one and asks for it": {nil, labels.Set{"istio.io/rev": "v1x31", "sidecar.istio.io/inject": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			for namespace, wanted := range map[string]int{
				"shop": 1, "kube-system": 0, "kube-public": 0, "kube-node-lease": 0, "local-path-storage": 0,
			} {
				count := 0
				for _, webhook := range webhooks {
					if asked(webhook, labels.Merge(test.namespace, labels.Set{corev1.LabelMetadataName: namespace}), test.pod) {
						count++
					}
				}
				if count != wanted {
					t.Errorf("in namespace %s %d webhooks are called, want %d", namespace, count, wanted)
				}
			}
		})
	}
}

func injectionWebhooks(t *testing.T, objects Objects) []webhooksv1.MutatingWebhook {
	t.Helper()
	var webhooks []webhooksv1.MutatingWebhook
	for _, object := range objects {
		if object.GetKind() == "MutatingWebhookConfiguration" {
			webhooks = append(webhooks, convert[webhooksv1.MutatingWebhookConfiguration](t, object).Webhooks...)
		}
	}
	return webhooks
}

func selects(t *testing.T, selector *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	if selector == nil {
		return true
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Matches(set)
}

// TestOnlyTheModulesOwnObjectsAreNotChecked runs the webhooks' conditions in the
// API server's own CEL environment: a label that anybody may write is not enough.
func TestOnlyTheModulesOwnObjectsAreNotChecked(t *testing.T) {
	objects := load(t).render(t, "{}", nil)
	ownLabels := map[string]any{"heritage": "deckhouse", "module": "istio"}
	for _, key := range []string{"istiod-default-validator", "istio-validator-v1x31-d8-istio", "istio-validator-v1x29-d8-istio"} {
		webhook := mustDecode[*webhooksv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration/"+key).Webhooks[0]
		compiler := newCompiler(t)
		var conditions []plugincel.ExpressionAccessor
		for _, condition := range webhook.MatchConditions {
			conditions = append(conditions, expression{text: condition.Expression})
		}
		evaluator := compiler.CompileCondition(conditions, plugincel.OptionalVariableDeclarations{}, environment.StoredExpressions)
		for name, test := range map[string]struct {
			namespace string
			labels    map[string]any
			checked   bool
		}{
			"the module's own":                             {"d8-istio", ownLabels, false},
			"a person's":                                   {"shop", map[string]any{"app": "web"}, true},
			"a person's without labels":                    {"shop", nil, true},
			"a person's with the module's label":           {"shop", ownLabels, true},
			"a person's in the module's namespace":         {"d8-istio", map[string]any{"app": "web"}, true},
			"one without labels in the module's namespace": {"d8-istio", nil, true},
		} {
			t.Run(key+" and "+name, func(t *testing.T) {
				object := map[string]any{"metadata": map[string]any{"name": "api", "namespace": test.namespace}}
				if test.labels != nil {
					Values(object).Set(test.labels, "metadata", "labels")
				}
				attributes, request := update(object)
				request.Namespace = test.namespace
				results, _, err := evaluator.ForInput(t.Context(), attributes, request, plugincel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
				if err != nil {
					t.Fatal(err)
				}
				checked := true
				for i, result := range results {
					if result.Error != nil {
						t.Fatalf("%s: %v", webhook.MatchConditions[i].Expression, result.Error)
					}
					checked = checked && result.EvalResult.Value() == true
				}
				if checked != test.checked {
					t.Errorf("istiod checks it: %v, want %v", checked, test.checked)
				}
			})
		}
	}
}

// newCompiler is the API server's own CEL environment.
func newCompiler(t *testing.T) *plugincel.CompositedCompiler {
	t.Helper()
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	return compiler
}

// expression is one expression of a webhook.
type expression struct{ text string }

func (e expression) GetExpression() string { return e.text }
func (e expression) ReturnTypes() []*celgo.Type {
	return []*celgo.Type{celgo.AnyType, celgo.DynType}
}

// update is a request that leaves an object as it is.
func update(of map[string]any) (*admission.VersionedAttributes, *admissionv1.AdmissionRequest) {
	object := &unstructured.Unstructured{Object: of}
	attributes := admission.NewAttributesRecord(object, object, schema.GroupVersionKind{}, "", object.GetName(),
		schema.GroupVersionResource{}, "", admission.Update, nil, false, &user.DefaultInfo{})
	return &admission.VersionedAttributes{Attributes: attributes, VersionedObject: object, VersionedOldObject: object}, &admissionv1.AdmissionRequest{}
}
