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
}

// Objects lists by Kind/name what the templates render of a control plane, as
// far as Pods or people's resources miss it at once when it is gone. All of them carry the
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
	return keys
}
