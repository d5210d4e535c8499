package hooks

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

// slowPeer is how long a peer may take before news of it have to wait for the
// minute's schedule: it must not hold up the others with every change.
const slowPeer = time.Second

// visits remembers what was asked and written last, so that one peer's news
// does not mean asking all of them, and a snapshot that is older than the last
// write is recognised. It is an economy: a process that knows nothing asks
// everybody. Only the hook's own queue uses it, one run at a time.
type visits struct {
	known map[string]visitKey
}

type visitKey struct {
	poke       string
	accepted   string
	generation int64
	minute     time.Time
	keyed      bool

	// etags of the last write; empty when nothing was written yet.
	etags [2]string
	slow  bool
}

// due is true when the resource was poked or edited, was not asked in this
// minute yet, or does not show what was written last.
func (v *visits) due(resource v1alpha1.IstioFederation, keyed bool, now time.Time) bool {
	last := v.known[string(resource.UID)]
	next := last
	next.generation, next.minute, next.keyed = resource.Generation, now.Truncate(time.Minute), keyed
	next.accepted = resource.Annotations[v1alpha1.AcceptIdentityAnnotation]
	if !last.slow || next.minute != last.minute {
		next.poke = resource.Annotations[v1alpha1.PokeAnnotation]
	}
	v.known[string(resource.UID)] = next
	return next != last || v.stale(resource) || !isVisited(resource.Status.Conditions)
}

// stale is true when the snapshot of the resource does not show what was written last.
func (v *visits) stale(resource v1alpha1.IstioFederation) bool {
	last, known := v.known[string(resource.UID)]
	return known && last.etags != [2]string{} && last.etags != etagsOf(resource.Status)
}

// took notes how long the peer kept this cluster waiting.
func (v *visits) took(resource v1alpha1.IstioFederation, waited time.Duration) {
	key := v.known[string(resource.UID)]
	key.slow = waited > slowPeer
	v.known[string(resource.UID)] = key
}

// wrote notes what the resource is going to show.
func (v *visits) wrote(resource v1alpha1.IstioFederation, status v1alpha1.IstioFederationStatus) {
	key := v.known[string(resource.UID)]
	key.etags = etagsOf(status)
	v.known[string(resource.UID)] = key
}

// forgetOthers drops what is known of resources that are gone.
func (v *visits) forgetOthers(present []v1alpha1.IstioFederation) {
	kept := make(map[string]visitKey, len(present))
	for _, resource := range present {
		kept[string(resource.UID)] = v.known[string(resource.UID)]
	}
	v.known = kept
}

func etagsOf(status v1alpha1.IstioFederationStatus) [2]string {
	return [2]string{status.MetadataCache.PublicETag, status.MetadataCache.PrivateETag}
}

// isVisited is false while the summary does not come from asking the peer.
func isVisited(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason != discovery.ReasonDisabled && ready.Reason != discovery.ReasonModuleDisabled
}
