package orphans

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var moduleLabels = map[string]string{"heritage": "deckhouse", "module": "istio"}

func TestWebhookConfigurations(t *testing.T) {
	service := func(namespace string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: namespace, Name: "istiod"}}
	}
	address := "https://istiod.example.com"
	for name, test := range map[string]struct {
		labels map[string]string
		client admissionv1.WebhookClientConfig
		want   bool
	}{
		"labelled as the module's":                 {moduleLabels, service("elsewhere"), true},
		"pointing to the module's namespace":       {nil, service("d8-istio"), true},
		"of another module of Deckhouse":           {map[string]string{"heritage": "deckhouse", "module": "other"}, service("d8-other"), false},
		"of an Istio that somebody else installed": {map[string]string{"istio.io/rev": "default"}, service("istio-system"), false},
		"pointing outside the cluster":             {nil, admissionv1.WebhookClientConfig{URL: &address}, false},
	} {
		t.Run(name, func(t *testing.T) {
			meta := metav1.ObjectMeta{Name: "some", Labels: test.labels}
			mutating := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.MutatingWebhook{{ClientConfig: test.client}}}
			validating := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{{ClientConfig: test.client}}}
			if Mutating(mutating) != test.want || Validating(validating) != test.want {
				t.Errorf("mutating %v, validating %v, want %v", Mutating(mutating), Validating(validating), test.want)
			}
		})
	}
}

func TestNamespacedObjects(t *testing.T) {
	istiodLabels := map[string]string{"istio.io/config": "true"}
	for name, test := range map[string]struct {
		object metav1.ObjectMeta
		judge  func(metav1.Object) bool
		want   bool
	}{
		"istiod's root certificates":             {metav1.ObjectMeta{Name: "istio-ca-root-cert", Labels: istiodLabels}, ConfigMap, true},
		"istiod's revoked certificates":          {metav1.ObjectMeta{Name: "istio-ca-crl", Labels: istiodLabels}, ConfigMap, true},
		"a person's ConfigMap of the same name":  {metav1.ObjectMeta{Name: "istio-ca-root-cert"}, ConfigMap, false},
		"a person's ConfigMap of the same label": {metav1.ObjectMeta{Name: "mine", Labels: istiodLabels}, ConfigMap, false},
		"the module's registry credentials":      {metav1.ObjectMeta{Name: RegistrySecret, Labels: moduleLabels}, Secret, true},
		"a person's Secret of the same name":     {metav1.ObjectMeta{Name: RegistrySecret}, Secret, false},
		"another Secret of the module":           {metav1.ObjectMeta{Name: "istio-ca", Labels: moduleLabels}, Secret, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.judge(&test.object); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestGatewayClass(t *testing.T) {
	by := func(manager, subresource string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "istio", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: manager, Subresource: subresource}}}
	}
	for name, test := range map[string]struct {
		object     metav1.ObjectMeta
		controller string
		want       bool
	}{
		"made by istiod":                        {by("pilot-discovery", ""), "istio.io/gateway-controller", true},
		"made by a person for istiod":           {by("kubectl", ""), "istio.io/gateway-controller", false},
		"of which istiod wrote the status only": {by("pilot-discovery", "status"), "istio.io/gateway-controller", false},
		"of another controller":                 {by("pilot-discovery", ""), "example.com/gateway-controller", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := GatewayClass(&test.object, test.controller); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
