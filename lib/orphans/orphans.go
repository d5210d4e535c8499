// Package orphans recognises what the module or its istiod leaves behind when
// the module is switched off. Whatever a person made is none of it.
package orphans

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/ca"
)

// Selectors of what istiod and the module write into people's namespaces.
const (
	// IstiodConfigMaps is the label istiod gives to its ConfigMaps (namespacecontroller.go of pilot).
	IstiodConfigMaps = "istio.io/config=true"
	// OfModule is what the module's templates label everything with.
	OfModule = "heritage=deckhouse,module=istio"
)

// RegistrySecret holds the credentials that sidecars' images are pulled with.
const RegistrySecret = "d8-istio-sidecar-registry"

// rootsConfigMap holds the mesh's root certificates.
const rootsConfigMap = "istio-ca-root-cert"

// configMaps that istiod writes into every namespace: the mesh's root
// certificates, and revoked certificates.
var configMaps = []string{rootsConfigMap, "istio-ca-crl"}

// ConfigMap tells whether an istiod of the module wrote a ConfigMap. Every istiod
// writes such ones, so the root certificates in it tell, or those beside it in
// the same namespace: one of them is among trusted, the mesh's own in PEM. all are
// the ConfigMaps to judge.
func ConfigMap(object *unstructured.Unstructured, all []unstructured.Unstructured, trusted string) bool {
	return slices.Contains(configMaps, object.GetName()) && slices.ContainsFunc(all, func(other unstructured.Unstructured) bool {
		if other.GetNamespace() != object.GetNamespace() || other.GetName() != rootsConfigMap || !ofIstiod(object) || !ofIstiod(&other) {
			return false
		}
		roots, _, err := unstructured.NestedString(other.Object, "data", "root-cert.pem")
		return err == nil && ca.Share(roots, trusted)
	})
}

func ofIstiod(object metav1.Object) bool { return object.GetLabels()["istio.io/config"] == "true" }

// Secret tells whether the module wrote a Secret into a person's namespace.
func Secret(object metav1.Object) bool {
	return object.GetName() == RegistrySecret && ofModule(object)
}

// Mutating tells whether nobody answers a webhook configuration any more.
func Mutating(configuration *admissionv1.MutatingWebhookConfiguration) bool {
	return ofModule(configuration) || slices.ContainsFunc(configuration.Webhooks, func(webhook admissionv1.MutatingWebhook) bool {
		return pointsHere(webhook.ClientConfig)
	})
}

// Validating tells whether nobody answers a webhook configuration any more.
func Validating(configuration *admissionv1.ValidatingWebhookConfiguration) bool {
	return ofModule(configuration) || slices.ContainsFunc(configuration.Webhooks, func(webhook admissionv1.ValidatingWebhook) bool {
		return pointsHere(webhook.ClientConfig)
	})
}

// pointsHere is true for Services of the module's namespace.
func pointsHere(client admissionv1.WebhookClientConfig) bool {
	return client.Service != nil && client.Service.Namespace == v1alpha1.Namespace
}

func ofModule(object metav1.Object) bool {
	labels := object.GetLabels()
	return labels["heritage"] == "deckhouse" && labels["module"] == "istio"
}

// istiodFieldManager is the name under which istiod writes: that of its program.
const istiodFieldManager = "pilot-discovery"

// GatewayClass tells whether istiod made a GatewayClass with this controllerName.
// A person's class for the same controller has its status alone from istiod.
func GatewayClass(object metav1.Object, controllerName string) bool {
	if !strings.HasPrefix(controllerName, "istio.io/") {
		return false
	}
	return slices.ContainsFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == istiodFieldManager && entry.Subresource == ""
	})
}
