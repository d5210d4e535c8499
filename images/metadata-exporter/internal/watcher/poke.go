package watcher

import (
	"time"

	"github.com/deckhouse-mesh/istio/lib/nudge"
)

const (
	// How often a resource is poked at most, after a burst, when its peer changes all the time.
	pokeInterval = 200 * time.Millisecond
	pokeBurst    = 5

	// Causes of a poke, as the metric has them.
	causeChanged = "changed"
	causeNudge   = "nudge"
)

// decision is what to do about the written value.
type decision struct {
	// value to write and why; empty when there is no reason to.
	value, cause string
	// own is what this replica has seen; value has those versions of it that are new.
	own versions
	// later is after what time there may be a reason though nothing has changed; 0 when there will be none.
	later time.Duration
}

// decide looks for a reason to write.
//
// There are two: this replica saw a version of a document that is not written; or
// the resource blames the peer though the peer has just answered, and the hook
// should notice that before its next scheduled run.
func (p *peerWatch) decide(now time.Time) decision {
	written, valid := parseVersions(p.state.written)
	own := p.reported.with(p.public.version, p.private.version)
	reported := p.reported
	if !valid { // nothing was written yet, or it was lost
		reported = versions{}
	}
	if value := written.updated(reported, own); value != written {
		return decision{value: value.String(), cause: causeChanged, own: own}
	}
	p.reported = own
	answered := p.public.answered
	if p.connection.clusterUUID != "" {
		answered = p.private.answered
	}
	if !p.state.blamesPeer {
		p.nudges.relax()
		return decision{}
	}
	if !answered {
		return decision{}
	}
	if wait := p.nudges.due().Sub(now); wait > 0 {
		return decision{later: wait}
	}
	return decision{value: nudge.Value(written.String(), now), cause: causeNudge, own: own}
}

// pace lets the resource be poked, or returns after what time it may be.
func (p *peerWatch) pace(now time.Time) (wait time.Duration) {
	poke := p.limiter.ReserveN(now, 1)
	if wait = poke.DelayFrom(now); wait > 0 {
		poke.CancelAt(now)
	}
	return wait
}

// wrote records that the API server has the decided value.
func (p *peerWatch) wrote(done decision, at time.Time) {
	p.state.written, p.reported = done.value, done.own
	p.nudges.wrote(done.cause, at)
}

// nudges paces pokes without an update: none sooner than first after any poke, and
// each time twice as long until the resource is Ready again.
type nudges struct {
	first, longest time.Duration

	last time.Time
	gap  time.Duration
}

// due is the earliest time for the next nudge.
func (n *nudges) due() time.Time { return n.last.Add(max(n.gap, n.first)) }

func (n *nudges) wrote(cause string, at time.Time) {
	n.last = at
	if cause == causeNudge {
		n.gap = min(max(n.gap, n.first)*2, n.longest)
	}
}

// relax forgets earlier nudges, though not the time of the last one.
func (n *nudges) relax() { n.gap = 0 }
