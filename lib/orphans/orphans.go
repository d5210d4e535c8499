// Package orphans recognises what the module or its istiod leaves behind when
// the module is switched off. Objects that people made are no orphans.
package orphans

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// IstiodConfigMaps selects the ConfigMaps that istiod writes into people's namespaces (namespacecontroller.go of pilot).
const IstiodConfigMaps = "istio.io/config=true"

// RegistrySecret holds the credentials for pulling sidecars' images.
const RegistrySecret = "d8-istio-sidecar-registry"

// configMaps that istiod writes into every namespace: the mesh's root
// certificates, and revoked certificates.
var configMaps = []string{ca.RootsConfigMap, "istio-ca-crl"}

// ConfigMap is true for a ConfigMap that an istiod of the module wrote. Every istiod
// writes such ConfigMaps, so the root certificates in it decide, or in another one of
// its namespace: one of them is among trusted, the mesh's own in PEM. all are
// the ConfigMaps to judge.
func ConfigMap(object *unstructured.Unstructured, all []unstructured.Unstructured, trusted string) bool {
	return slices.Contains(configMaps, object.GetName()) && slices.ContainsFunc(all, func(other unstructured.Unstructured) bool {
		if other.GetNamespace() != object.GetNamespace() || other.GetName() != ca.RootsConfigMap || !ofIstiod(object) || !ofIstiod(&other) {
			return false
		}
		roots, _, err := unstructured.NestedString(other.Object, "data", "root-cert.pem")
		return err == nil && ca.Share(roots, trusted)
	})
}

func ofIstiod(object metav1.Object) bool { return object.GetLabels()["istio.io/config"] == "true" }

// Secret is true for a Secret that the module wrote into a person's namespace.
func Secret(object metav1.Object) bool {
	return object.GetName() == RegistrySecret && names.OfModule(object.GetLabels())
}

// Webhooks is true for a configuration of webhooks, of either kind, that no program answers any more.
func Webhooks(object *unstructured.Unstructured) (bool, error) {
	var configuration admissionv1.ValidatingWebhookConfiguration // a mutating one has the same in the fields that count
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &configuration); err != nil {
		return false, err
	}
	return names.OfModule(configuration.GetLabels()) || slices.ContainsFunc(configuration.Webhooks, func(webhook admissionv1.ValidatingWebhook) bool {
		service := webhook.ClientConfig.Service
		return service != nil && service.Namespace == v1alpha1.Namespace
	}), nil
}

// GatewayClass is true for a GatewayClass that istiod made, with this
// controllerName. Of a person's class for the same controller, istiod writes the status only.
func GatewayClass(object metav1.Object, controllerName string) bool {
	if !strings.HasPrefix(controllerName, "istio.io/") {
		return false
	}
	return slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == names.IstiodFieldManager && entry.Subresource == ""
	})
}
