package drift

import (
	"slices"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// Release is the values that decide which objects are rendered.
type Release struct {
	// Revisions of Istio that are installed.
	Revisions []string
	// WebhookRevisions are those that webhooks may point to.
	WebhookRevisions []string
	// DefaultRevision serves whatever names none; "" for none.
	DefaultRevision string
	// Federation and Multicluster say which kinds of peers are enabled.
	Federation, Multicluster bool
	// Healthcheck is false when nothing calls peers.
	Healthcheck bool
}

// Objects lists by Kind/name those rendered objects that Pods, people's
// resources or metadata-watcher need at any time. All of them have the
// module's labels; those in a namespace are in the module's own.
func (r Release) Objects() []string {
	var keys []string
	add := func(kind, name string) { keys = append(keys, kind+"/"+name) }
	if len(r.Revisions) > 0 {
		add("Secret", "cacerts")
	}
	for _, revision := range r.Revisions {
		add("Deployment", names.Istiod(revision))
		add("Service", names.Istiod(revision))
		add("ConfigMap", "istio-"+revision)
		add("ConfigMap", names.InjectorConfigMap(revision))
		if slices.Contains(r.WebhookRevisions, revision) {
			add("MutatingWebhookConfiguration", names.Injector(revision))
			add("ValidatingWebhookConfiguration", names.Validator(revision))
		}
	}
	if slices.Contains(r.Revisions, r.DefaultRevision) && slices.Contains(r.WebhookRevisions, r.DefaultRevision) {
		add("MutatingWebhookConfiguration", names.DefaultInjector)
		add("ValidatingWebhookConfiguration", names.DefaultValidator)
	}
	if r.Federation {
		add("ConfigMap", v1alpha1.FederationVersions)
	}
	if r.Multicluster {
		add("ConfigMap", v1alpha1.MulticlusterVersions)
	}
	if r.Healthcheck && (r.Federation || r.Multicluster) && len(r.Revisions) > 0 {
		add("ConfigMap", healthcheck.TargetsConfigMap)
		add("ConfigMap", healthcheck.ReportsConfigMap)
	}
	return keys
}

// Filled are the ConfigMaps that Helm makes empty and other programs fill: their
// data is no deviation, as long as these programs can write it (Unwritable).
func Filled() []string {
	return []string{v1alpha1.FederationVersions, v1alpha1.MulticlusterVersions, healthcheck.ReportsConfigMap}
}
