package hooks

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

const (
	// A peer that took longer than slowPeer maxSlowPolls times in a row must not delay the
	// others with every change: its reported changes wait until slowRest times as long has passed, or for the
	// minute's schedule. A single time may be a long document on a busy machine.
	slowPeer     = time.Second
	maxSlowPolls = 2
	slowRest     = 10

	// answersFor is how long a peer that is called unreachable is given the time of one that answers, after metadata-watcher
	// has reported that it does: until the next minute's poll, which a slow peer waits for.
	answersFor = 2 * time.Minute

	// A status that cannot be written is tried again after firstRetry, and after twice as long each time, up to longestRetry.
	firstRetry   = 30 * time.Second
	longestRetry = 15 * time.Minute
)

// pollSchedule decides which peers are polled in a run. It remembers what was
// polled and written last, so that one peer's change does not mean polling all of
// them, and a snapshot that is older than the last write is recognised. It is an
// optimisation: a process that remembers nothing polls every peer. Only the
// hook's own queue uses it, one run at a time.
type pollSchedule map[types.UID]lastPoll

// lastPoll is what a resource was polled for last.
type lastPoll struct {
	// version is what metadata-watcher reported last of the peer.
	version           string
	refresh, accepted string
	generation        int64
	minute            time.Time
	hasKey            bool

	// etags of the last status; empty when there was none yet.
	etags [2]string
	// superseded is the version of the resource that the last write was made for.
	superseded string
	// slow counts the polls in a row that took longer than slowPeer, up to maxSlowPolls; after those
	// reported changes count from restUntil on.
	slow      int
	restUntil time.Time
	// failures counts the writes in a row that the API server has rejected; until retryAt the peer is not polled again.
	failures int
	retryAt  time.Time
}

// due is true when the peer has changed, the resource was edited or a refresh
// requested, it was not polled in this minute yet, or its status does not have what was
// written last. A version that is no longer reported is no change.
func (s pollSchedule) due(resource v1alpha1.Peer, version string, hasKey bool, now time.Time) bool {
	last := s[resource.GetUID()]
	next := last
	next.generation, next.minute, next.hasKey = resource.GetGeneration(), now.Truncate(time.Minute), hasKey
	next.accepted = resource.GetAnnotations()[v1alpha1.AcceptIdentityAnnotation]
	if refresh := resource.GetAnnotations()[v1alpha1.RefreshAnnotation]; refresh != "" {
		next.refresh = refresh
	}
	if version != "" && (!now.Before(last.restUntil) || next.minute != last.minute) {
		next.version = version
	}
	s[resource.GetUID()] = next
	if now.Before(last.retryAt) && next.generation == last.generation && next.accepted == last.accepted && next.refresh == last.refresh {
		return false
	}
	return next != last || s.isStale(resource) || !wasPolled(resource.PeerStatus().Conditions)
}

// isStale is true when the snapshot of the resource does not have the last status.
func (s pollSchedule) isStale(resource v1alpha1.Peer) bool {
	last := s[resource.GetUID()]
	return last.etags != [2]string{} && last.etags != etags(resource)
}

// isCurrent is true when the snapshot of the resource is not known to be older than
// the last write. Where the process continues, a difference that the API server rejects is
// followed by a whole status; in a process of a single run, by a difference to a newer snapshot.
func (s pollSchedule) isCurrent(resource v1alpha1.Peer) bool {
	return !s.isStale(resource) && s[resource.GetUID()].superseded != resource.GetResourceVersion()
}

// noteWait remembers how long this cluster waited for the peer in the poll that began then.
func (s pollSchedule) noteWait(resource v1alpha1.Peer, waited time.Duration, began time.Time) {
	last := s[resource.GetUID()]
	if waited <= slowPeer {
		last.slow, last.restUntil = 0, time.Time{}
	} else if last.slow = min(last.slow+1, maxSlowPolls); last.slow == maxSlowPolls {
		last.restUntil = began.Add((1 + slowRest) * waited)
	}
	s[resource.GetUID()] = last
}

// noteStatus remembers the status that the resource is going to have, and whether it had to be written.
func (s pollSchedule) noteStatus(resource v1alpha1.Peer, written bool) {
	last := s[resource.GetUID()]
	last.etags = etags(resource)
	if written {
		last.superseded = resource.GetResourceVersion()
		last.failures, last.retryAt = 0, time.Time{}
	}
	s[resource.GetUID()] = last
}

// noteLost has the peer polled again in the next run, and its whole status written:
// the API server could not take it, which is no fault of the resource.
func (s pollSchedule) noteLost(resource v1alpha1.Peer) {
	last := s[resource.GetUID()]
	last.minute = time.Time{}
	last.superseded = resource.GetResourceVersion()
	s[resource.GetUID()] = last
}

// noteFailure puts off the next poll of a peer whose status cannot be written. The
// whole status is written then: the cache that the snapshot shows is not the last answer.
func (s pollSchedule) noteFailure(resource v1alpha1.Peer, now time.Time) {
	last := s[resource.GetUID()]
	last.retryAt = now.Add(min(firstRetry<<min(last.failures, 5), longestRetry))
	last.failures++
	last.superseded = resource.GetResourceVersion()
	s[resource.GetUID()] = last
}

// retries is true while the next try to write the resource's status is put off.
func (s pollSchedule) retries(resource v1alpha1.Peer, now time.Time) bool {
	return now.Before(s[resource.GetUID()].retryAt)
}

// retainOnly forgets what is remembered of all other resources.
func retainOnly[T any](remembered map[types.UID]T, resources []v1alpha1.Peer) {
	maps.DeleteFunc(remembered, func(uid types.UID, _ T) bool {
		return !slices.ContainsFunc(resources, func(resource v1alpha1.Peer) bool { return resource.GetUID() == uid })
	})
}

func etags(resource v1alpha1.Peer) [2]string {
	cache := resource.PeerCache()
	return [2]string{cache.PublicETag, cache.PrivateETag}
}

// wasPolled is false while the summary does not come from polling the peer.
func wasPolled(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && !slices.Contains([]string{
		discovery.ReasonFederationDisabled, discovery.ReasonMulticlusterDisabled, discovery.ReasonModuleDisabled,
	}, ready.Reason)
}
