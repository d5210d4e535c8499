package hooks

import (
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// What Istio and people write on namespaces, Pods and webhooks.
const (
	revisionLabel  = "istio.io/rev"
	injectLabel    = "sidecar.istio.io/inject"
	injectionLabel = "istio-injection"
	// canonicalNameLabel is on every Pod that a sidecar was injected into, and not only there.
	canonicalNameLabel = "service.istio.io/canonical-name"

	mutatingWebhookKind   = "MutatingWebhookConfiguration"
	validatingWebhookKind = "ValidatingWebhookConfiguration"
)

// withoutEvents has a snapshot of the binding without waking the hook.
func withoutEvents(binding sdk.KubernetesConfig) sdk.KubernetesConfig {
	binding.ExecuteHookOnEvents, binding.ExecuteHookOnSynchronization = new(bool), new(bool)
	return binding
}

func inNamespace(name string) *sdk.NamespaceSelector {
	return &sdk.NamespaceSelector{NameSelector: named(name)}
}

func named(name string) *sdk.NameSelector {
	return &sdk.NameSelector{MatchNames: []string{name}}
}

// configMapBinding subscribes to one ConfigMap of the module's namespace.
func configMapBinding(binding, name, filter string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              binding,
		APIVersion:        "v1",
		Kind:              "ConfigMap",
		NamespaceSelector: inNamespace(names.Namespace),
		NameSelector:      named(name),
		JqFilter:          filter,
	}
}

// apiServersBinding subscribes to the EndpointSlice of this cluster's API servers, which
// they maintain themselves.
func apiServersBinding(filter string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              "api_servers",
		APIVersion:        "discovery.k8s.io/v1",
		Kind:              "EndpointSlice",
		NamespaceSelector: inNamespace(metav1.NamespaceDefault),
		NameSelector:      named("kubernetes"),
		JqFilter:          filter,
	}
}

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

// podsBinding has a snapshot of all Pods, a versionplan.Pod or a dataplane.Pod
// each, without events: there are thousands of them. All hooks that use it share one informer.
func podsBinding() sdk.KubernetesConfig {
	return withoutEvents(sdk.KubernetesConfig{
		Name:       "pods",
		APIVersion: "v1",
		Kind:       "Pod",
		JqFilter: `{
			namespace: .metadata.namespace,
			name: .metadata.name,
			inject: .metadata.labels["` + injectLabel + `"],
			injectAnnotation: .metadata.annotations["` + injectLabel + `"],
			revision: .metadata.labels["` + revisionLabel + `"],
			hostNetwork: (.spec.hostNetwork == true),
			sidecar: ` + sidecarRevision + `,
			version: (.metadata.annotations["` + injection.FullVersionAnnotation + `"] | if length <= 63 then . else null end),
			image: ([(.spec.containers[]?, .spec.initContainers[]?) | select(.name == "istio-proxy").image | select(length <= 512)] | first),
			finished: ` + finished + `,
			own: (.metadata.namespace == "` + names.Namespace + `"),
			istiod: (.metadata.namespace == "` + names.Namespace + `" and .metadata.labels.app == "istiod")
		}`,
	})
}

const (
	// sidecarRevision is a jq expression: the revision in what istiod noted when it
	// injected a sidecar into a Pod, "" for none. Tenants may edit the annotation: what
	// is longer than a label's value is no revision, and would be a metric's label.
	sidecarRevision = `(
		if (.metadata.annotations["sidecar.istio.io/status"] // "") == "" then ""
		else [
			(.metadata.annotations["sidecar.istio.io/status"] | try (fromjson | .revision) catch null),
			.metadata.annotations["` + revisionLabel + `"],
			"` + injection.Unknown + `"
		] | map(select(type == "string" and . != "" and length <= 63)) | first
		end
	)`

	// finished is a jq expression: whether a Pod's containers have ended.
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

// foreign is true when another Istio answers.
func (c webhookConfiguration) foreign() bool {
	return len(c.Namespaces) > 0 && !slices.Contains(c.Namespaces, names.Namespace)
}

// injectors returns the revisions that have a webhook of their own among the mutating ones, and the one that the module's
// webhook for Pods that name none points to, "" for none.
func injectors(webhooks []webhookConfiguration) (revisions []string, byDefault string) {
	for _, webhook := range webhooks {
		if webhook.Name == names.DefaultInjector && !webhook.foreign() {
			byDefault = webhook.Revision
		}
		if revision := names.InjectorRevision(webhook.Name); revision != "" {
			revisions = append(revisions, revision)
		}
	}
	return revisions, byDefault
}

// webhooksBinding has a snapshot of the configurations of a kind, a webhookConfiguration each.
func webhooksBinding(binding, kind string) sdk.KubernetesConfig {
	return withoutEvents(sdk.KubernetesConfig{
		Name:       binding,
		APIVersion: "admissionregistration.k8s.io/v1",
		Kind:       kind,
		JqFilter: `{
			name: .metadata.name,
			revision: (.metadata.labels["` + revisionLabel + `"] // ""),
			namespaces: ([.webhooks[]?.clientConfig.service.namespace // empty] | unique)
		}`,
	})
}
