// Package names has the names that several parts of the module must agree on.
// What the module deletes and restores is decided by them.
package names

import "strings"

const (
	// Namespace is where everything the module installs lives.
	Namespace = "d8-istio"
	// OperatorNamespace is where Deckhouse, and this module's own operator outside of it, store their Secrets.
	OperatorNamespace = "d8-system"

	// HeritageLabel with Heritage, and ModuleLabel with Module(), are on every object that the module makes.
	HeritageLabel = "heritage"
	// Heritage is the value of HeritageLabel.
	Heritage = "deckhouse"
	// ModuleLabel is beside HeritageLabel.
	ModuleLabel = "module"

	// IstiodFieldManager is the name under which istiod writes: that of its program.
	IstiodFieldManager = "pilot-discovery"
	// TrustWithdrawalFieldManager is that of the hook that removes trust from the mesh configuration before Helm does.
	TrustWithdrawalFieldManager = "istio-trust-withdrawal"
	// ClusterLocalFieldManager is that of the hook that names cluster-local hosts in the mesh configuration before Helm does.
	ClusterLocalFieldManager = "istio-cluster-local"

	// DefaultInjector is the webhook configuration for whatever names no revision; istiod knows it by this name, too.
	DefaultInjector = "istio-revision-tag-default"
	// DefaultValidator validates whatever names no revision.
	DefaultValidator = "istiod-default-validator"

	istiodPrefix    = "istiod-"
	injectorPrefix  = "istio-sidecar-injector-"
	validatorPrefix = "istio-validator-"
	webhookSuffix   = "-" + Namespace
)

// ModuleLabels are the labels of an object that the module makes.
func ModuleLabels() map[string]string {
	return map[string]string{HeritageLabel: Heritage, ModuleLabel: Module()}
}

// ModuleSelector selects the objects with these labels.
func ModuleSelector() string { return SelectorOf(Module()) }

// SelectorOf selects the objects that a module makes, by its name.
func SelectorOf(module string) string {
	return HeritageLabel + "=" + Heritage + "," + ModuleLabel + "=" + module
}

// OfModule is true for the labels of an object that the module made.
func OfModule(labels map[string]string) bool {
	return labels[HeritageLabel] == Heritage && labels[ModuleLabel] == Module()
}

// Istiod is the Deployment and the Service of a revision's istiod.
func Istiod(revision string) string { return istiodPrefix + revision }

// IstiodRevision is the revision of the istiod with this name; false for any other name.
func IstiodRevision(name string) (revision string, ok bool) {
	return strings.CutPrefix(name, istiodPrefix)
}

// InjectorConfigMap is the ConfigMap with a revision's injection templates.
func InjectorConfigMap(revision string) string { return injectorPrefix + revision }

// Injector is the webhook configuration of a revision's injector, as Istio's own chart has it.
func Injector(revision string) string { return injectorPrefix + revision + webhookSuffix }

// InjectorRevision is the revision of the injector's webhook configuration with
// this name; "" for any other name.
func InjectorRevision(name string) string {
	rest, prefixed := strings.CutPrefix(name, injectorPrefix)
	revision, suffixed := strings.CutSuffix(rest, webhookSuffix)
	if !prefixed || !suffixed {
		return ""
	}
	return revision
}

// Validator is the webhook configuration of a revision's validator.
func Validator(revision string) string { return validatorPrefix + revision + webhookSuffix }
