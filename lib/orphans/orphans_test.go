package orphans

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/lib/ca"
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
		"labelled as the module's":           {moduleLabels, service("elsewhere"), true},
		"pointing to the module's namespace": {nil, service("d8-istio"), true},
		"of another module of Deckhouse":     {map[string]string{"heritage": "deckhouse", "module": "other"}, service("d8-other"), false},
		"of another Istio":                   {map[string]string{"istio.io/rev": "default"}, service("istio-system"), false},
		"pointing outside the cluster":       {nil, admissionv1.WebhookClientConfig{URL: &address}, false},
	} {
		t.Run(name, func(t *testing.T) {
			meta := metav1.ObjectMeta{Name: "some", Labels: test.labels}
			again := admissionv1.IfNeededReinvocationPolicy // which a validating one does not have
			for _, configuration := range []any{
				&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.MutatingWebhook{{ClientConfig: test.client, ReinvocationPolicy: &again}}},
				&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{{ClientConfig: test.client}}},
			} {
				content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(configuration)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := Webhooks(&unstructured.Unstructured{Object: content}); err != nil || got != test.want {
					t.Errorf("%T: got %v, %v, want %v", configuration, got, err, test.want)
				}
			}
		})
	}
}

func TestConfigMap(t *testing.T) {
	authority := func() string {
		made, err := ca.Generate("cluster.local")
		if err != nil {
			t.Fatal(err)
		}
		return made.Root
	}
	ours, former, foreign := authority(), authority(), authority()
	configMap := func(namespace, name, roots string, labels map[string]string) unstructured.Unstructured {
		object := unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"root-cert.pem": roots}}}
		object.SetNamespace(namespace)
		object.SetName(name)
		object.SetLabels(labels)
		return object
	}
	ofIstiod := map[string]string{"istio.io/config": "true"}
	for name, test := range map[string]struct {
		object, beside unstructured.Unstructured
		want           bool
	}{
		"our istiod's root certificates":      {object: configMap("shop", "istio-ca-root-cert", ours, ofIstiod), want: true},
		"those from before the last rotation": {object: configMap("shop", "istio-ca-root-cert", former+ours, ofIstiod), want: true},
		"another istiod's root certificates":  {object: configMap("shop", "istio-ca-root-cert", foreign, ofIstiod)},
		"no root certificates":                {object: configMap("shop", "istio-ca-root-cert", "", ofIstiod)},
		"a person's copy of the certificates": {object: configMap("shop", "istio-ca-root-cert", ours, nil)},
		"a person's ConfigMap":                {object: configMap("shop", "mine", ours, ofIstiod)},
		"our istiod's revoked certificates": {
			configMap("shop", "istio-ca-crl", "", ofIstiod), configMap("shop", "istio-ca-root-cert", ours, ofIstiod), true},
		"another istiod's revoked certificates": {
			configMap("shop", "istio-ca-crl", "", ofIstiod), configMap("shop", "istio-ca-root-cert", foreign, ofIstiod), false},
		"revoked certificates in another namespace": {
			configMap("web", "istio-ca-crl", "", ofIstiod), configMap("shop", "istio-ca-root-cert", ours, ofIstiod), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ConfigMap(&test.object, []unstructured.Unstructured{test.object, test.beside}, ours); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	mine := configMap("shop", "istio-ca-root-cert", ours, ofIstiod)
	if ConfigMap(&mine, []unstructured.Unstructured{mine}, "") {
		t.Error("nothing is known to be the module's when its roots are unknown")
	}
}

func TestNamespacedObjects(t *testing.T) {
	for name, test := range map[string]struct {
		object metav1.ObjectMeta
		judge  func(metav1.Object) bool
		want   bool
	}{
		"the module's registry credentials":  {metav1.ObjectMeta{Name: RegistrySecret, Labels: moduleLabels}, Secret, true},
		"a person's Secret of the same name": {metav1.ObjectMeta{Name: RegistrySecret}, Secret, false},
		"another Secret of the module":       {metav1.ObjectMeta{Name: "istio-ca", Labels: moduleLabels}, Secret, false},
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
