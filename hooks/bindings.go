package hooks

import (
	"slices"
	"strings"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/injection"
)

// What Istio and people write on namespaces, Pods and webhooks.
const (
	revisionLabel  = "istio.io/rev"
	injectLabel    = "sidecar.istio.io/inject"
	injectionLabel = "istio-injection"
	// canonicalNameLabel is on every Pod that a sidecar was injected into, and not only there.
	canonicalNameLabel = "service.istio.io/canonical-name"

	// defaultWebhook serves whatever names no revision; istiod knows it by this name, too.
	defaultWebhook = "istio-revision-tag-default"
	// defaultValidator validates whatever names no revision.
	defaultValidator = "istiod-default-validator"
	// Names of the injector's webhooks of one revision, as Istio's own chart has them.
	revisionWebhookPrefix = "istio-sidecar-injector-"
	revisionWebhookSuffix = "-" + v1alpha1.Namespace

	mutatingWebhookKind   = "MutatingWebhookConfiguration"
	validatingWebhookKind = "ValidatingWebhookConfiguration"
)

// namespacesBinding subscribes to the labels that choose a revision; its snapshot
// is an injection.Namespace.
func namespacesBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:       "namespaces",
		APIVersion: "v1",
		Kind:       "Namespace",
		JqFilter: `{
			name: .metadata.name,
			revision: .metadata.labels["` + revisionLabel + `"],
			injection: .metadata.labels["` + injectionLabel + `"],
			terminating: (.metadata.deletionTimestamp != null)
		}`,
	}
}

// podsBinding keeps a snapshot of all Pods, an installation.Pod or a
// dataplane.Pod each, without waking the hook: there are thousands of them. All hooks that use
// it share one informer.
func podsBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "pods",
		APIVersion:                   "v1",
		Kind:                         "Pod",
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter: `{
			namespace: .metadata.namespace,
			name: .metadata.name,
			inject: .metadata.labels["` + injectLabel + `"],
			injectAnnotation: .metadata.annotations["` + injectLabel + `"],
			revision: .metadata.labels["` + revisionLabel + `"],
			hostNetwork: (.spec.hostNetwork == true),
			sidecar: ` + sidecarRevision + `,
			version: .metadata.annotations["` + injection.FullVersionAnnotation + `"],
			image: ([(.spec.containers[]?, .spec.initContainers[]?) | select(.name == "istio-proxy").image] | first),
			finished: ` + finished + `,
			own: (.metadata.namespace == "` + v1alpha1.Namespace + `"),
			istiod: (.metadata.namespace == "` + v1alpha1.Namespace + `" and .metadata.labels.app == "istiod")
		}`,
	}
}

const (
	// sidecarRevision is a jq expression: the revision in what istiod noted when it
	// injected a sidecar into a Pod, "" for none. Anybody may edit the annotation.
	sidecarRevision = `(
		if (.metadata.annotations["sidecar.istio.io/status"] // "") == "" then ""
		else [
			(.metadata.annotations["sidecar.istio.io/status"] | try (fromjson | .revision) catch null),
			.metadata.annotations["` + revisionLabel + `"],
			"` + injection.Unknown + `"
		] | map(select(type == "string" and . != "")) | first
		end
	)`

	// finished is a jq expression: whether a Pod's containers run no more.
	finished = `(.status.phase == "Succeeded" or .status.phase == "Failed")`
)

// labelled selects objects with a label, whatever its value.
func labelled(key string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}}}
}

// webhookConfiguration is what counts of a configuration of webhooks.
type webhookConfiguration struct {
	Name string `json:"name"`
	// Revision it serves.
	Revision string `json:"revision"`
	// Namespaces of the Services that it points to.
	Namespaces []string `json:"namespaces"`
}

// foreign tells whether another Istio answers.
func (c webhookConfiguration) foreign() bool {
	return len(c.Namespaces) > 0 && !slices.Contains(c.Namespaces, v1alpha1.Namespace)
}

// ownRevision is the revision that a configuration of the module's injector is
// for, by its name; "" for any other configuration.
func (c webhookConfiguration) ownRevision() string {
	rest, prefixed := strings.CutPrefix(c.Name, revisionWebhookPrefix)
	revision, suffixed := strings.CutSuffix(rest, revisionWebhookSuffix)
	if !prefixed || !suffixed {
		return ""
	}
	return revision
}

// webhooksBinding subscribes to the configurations of a kind without waking the
// hook; its snapshot is a webhookConfiguration.
func webhooksBinding(binding, kind string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:       binding,
		APIVersion: "admissionregistration.k8s.io/v1",
		Kind:       kind,
		JqFilter: `{
			name: .metadata.name,
			revision: (.metadata.labels["` + revisionLabel + `"] // ""),
			namespaces: ([.webhooks[]?.clientConfig.service.namespace // empty] | unique)
		}`,
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
	}
}
