package drift

import (
	"slices"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// Release is what the values say about the objects to render.
type Release struct {
	// Revisions of Istio that are installed.
	Revisions []string
	// WebhookRevisions are those that webhooks may point to.
	WebhookRevisions []string
	// DefaultRevision serves whatever names none; "" for none.
	DefaultRevision string
	// Federation and Multicluster are the ways in which clusters are joined.
	Federation, Multicluster bool
}

// Objects lists by Kind/name what the templates render, as far as Pods, people's
// resources or metadata-exporter miss it at once when it is gone. All of them carry the
// labels of the module; those in a namespace are in the module's own.
func (r Release) Objects() []string {
	var keys []string
	add := func(kind, name string) { keys = append(keys, kind+"/"+name) }
	if len(r.Revisions) > 0 {
		add("Secret", "cacerts")
	}
	for _, revision := range r.Revisions {
		add("Deployment", "istiod-"+revision)
		add("Service", "istiod-"+revision)
		add("ConfigMap", "istio-"+revision)
		add("ConfigMap", "istio-sidecar-injector-"+revision)
		if slices.Contains(r.WebhookRevisions, revision) {
			add("MutatingWebhookConfiguration", "istio-sidecar-injector-"+revision+"-"+v1alpha1.Namespace)
			add("ValidatingWebhookConfiguration", "istio-validator-"+revision+"-"+v1alpha1.Namespace)
		}
	}
	if slices.Contains(r.Revisions, r.DefaultRevision) && slices.Contains(r.WebhookRevisions, r.DefaultRevision) {
		add("MutatingWebhookConfiguration", "istio-revision-tag-default")
		add("ValidatingWebhookConfiguration", "istiod-default-validator")
	}
	if r.Federation {
		add("ConfigMap", v1alpha1.FederationRevisions)
	}
	if r.Multicluster {
		add("ConfigMap", v1alpha1.MulticlusterRevisions)
	}
	return keys
}

// Filled are the ConfigMaps that Helm makes empty: what is in them is others'
// affair, and no deviation, as long as those can write it (Spoilt).
func Filled() []string {
	return []string{v1alpha1.FederationRevisions, v1alpha1.MulticlusterRevisions}
}
