package hooks

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

const (
	// A peer that took longer than slowPeer patience times in a row must not hold
	// up the others with every change: news of it wait for the minute's schedule.
	// Once is a long document on a busy machine.
	slowPeer = time.Second
	patience = 2
)

// sighting is what a resource of either kind shows of its last visit.
type sighting struct {
	uid string
	// version of the object that the status was read from.
	version     string
	generation  int64
	annotations map[string]string
	conditions  []metav1.Condition
	etags       [2]string
	// revision is what metadata-exporter told last of the peer; empty when it told nothing.
	revision string
}

// visits remembers what was asked and written last, so that one peer's news
// does not mean asking all of them, and a snapshot that is older than the last
// write is recognised. It is an economy: a process that knows nothing asks
// everybody. Only the hook's own queue uses it, one run at a time.
type visits struct {
	known map[string]visitKey
}

type visitKey struct {
	revision   string
	refresh    string
	accepted   string
	generation int64
	minute     time.Time
	keyed      bool

	// etags of the last write; empty when nothing was written yet.
	etags [2]string
	// superseded is the version of the object that the last write was made for.
	superseded string
	// slow counts the visits in a row that took longer than slowPeer, up to patience.
	slow int
}

// due is true when the peer has changed, the resource was edited or its refresh
// asked for, it was not asked in this minute yet, or does not show what was
// written last. That something is not told any more is no news.
func (v *visits) due(resource sighting, keyed bool, now time.Time) bool {
	last := v.known[resource.uid]
	next := last
	next.generation, next.minute, next.keyed = resource.generation, now.Truncate(time.Minute), keyed
	next.accepted = resource.annotations[v1alpha1.AcceptIdentityAnnotation]
	if refresh := resource.annotations[v1alpha1.RefreshAnnotation]; refresh != "" {
		next.refresh = refresh
	}
	if resource.revision != "" && (last.slow < patience || next.minute != last.minute) {
		next.revision = resource.revision
	}
	v.known[resource.uid] = next
	return next != last || v.stale(resource) || !isVisited(resource.conditions)
}

// stale is true when the snapshot of the resource does not show what was written last.
func (v *visits) stale(resource sighting) bool {
	last, known := v.known[resource.uid]
	return known && last.etags != [2]string{} && last.etags != resource.etags
}

// took notes how long the peer kept this cluster waiting.
func (v *visits) took(resource sighting, waited time.Duration) {
	key := v.known[resource.uid]
	if waited <= slowPeer {
		key.slow = 0
	} else {
		key.slow = min(key.slow+1, patience)
	}
	v.known[resource.uid] = key
}

// current is true when the snapshot of the resource is not known to be older than
// the last write. Where the process lives on, a difference that is refused is
// followed by a whole status; in one of a single run, by one to a newer snapshot.
func (v *visits) current(resource sighting) bool {
	return !v.stale(resource) && v.known[resource.uid].superseded != resource.version
}

// shows notes what the resource is going to show, and whether that was written to it.
func (v *visits) shows(resource sighting, written bool) {
	key := v.known[resource.uid]
	key.etags = resource.etags
	if written {
		key.superseded = resource.version
	}
	v.known[resource.uid] = key
}

// forgetOthers drops what is known of resources that are gone.
func (v *visits) forgetOthers(present []sighting) {
	kept := make(map[string]visitKey, len(present))
	for _, resource := range present {
		kept[resource.uid] = v.known[resource.uid]
	}
	v.known = kept
}

// isVisited is false while the summary does not come from asking the peer.
func isVisited(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && !slices.Contains([]string{
		discovery.ReasonDisabled, discovery.ReasonMulticlusterDisabled, discovery.ReasonModuleDisabled,
	}, ready.Reason)
}
