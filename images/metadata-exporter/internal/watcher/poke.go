package watcher

import (
	"context"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// How often a resource is poked at most, after a burst, when its peer changes all the time.
	pokeInterval = 200 * time.Millisecond
	pokeBurst    = 5

	// Causes of a poke, as the metric has them.
	causeChanged = "changed"
	causeNudge   = "nudge"
)

// poker paces the pokes of one resource.
type poker struct {
	*peerWatch
	limiter *rate.Limiter
	retry   *backoff.ExponentialBackOff
	nudges  nudges
}

func newPoker(of *peerWatch) *poker {
	return &poker{
		peerWatch: of,
		limiter:   rate.NewLimiter(rate.Every(pokeInterval), pokeBurst),
		retry:     newBackOff(of.Timing.RetryMin, of.Timing.RetryMax),
		nudges:    nudges{first: of.Timing.Nudge, longest: of.Timing.NudgeMax},
	}
}

// poke writes a value if there is a reason to, and returns after what time there
// may be one though nothing has changed; 0 when there will be none.
func (p *poker) poke(ctx context.Context) (again time.Duration) {
	next := p.decide(&p.nudges, time.Now())
	if next.value == "" || p.limiter.Wait(ctx) != nil {
		return next.later
	}
	// The limiter may have waited: write what is seen now.
	if next = p.decide(&p.nudges, time.Now()); next.value == "" {
		return next.later
	}
	err := p.write(ctx, map[string]*string{p.name: &next.value})
	switch {
	case ctx.Err() != nil:
		return 0
	case apierrors.IsNotFound(err):
		p.reportMissing(err)
		return p.retry.NextBackOff()
	case err != nil:
		p.log.Warn("cannot notify the discovery hook; retrying, and the hook asks the peer every minute", "error", err)
		return p.retry.NextBackOff()
	}
	p.retry.Reset()
	p.nudges.wrote(next.cause, time.Now())
	p.change(func() { p.wrote(next) })
	p.Metrics.PeerPokes.WithLabelValues(p.Kind.label(p.name), next.cause).Inc()
	p.log.Info("notified the discovery hook", "cause", next.cause, "versions", next.value)
	return 0
}

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
func (p *peerWatch) decide(pace *nudges, now time.Time) decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	written, valid := parseVersions(p.state.written)
	own := p.reported.with(p.public.etag, p.private.etag)
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
		pace.relax()
		return decision{}
	}
	if !answered {
		return decision{}
	}
	if wait := pace.due().Sub(now); wait > 0 {
		return decision{later: wait}
	}
	return decision{value: written.nudged(strconv.FormatInt(now.UnixMilli(), 36)), cause: causeNudge, own: own}
}

// wrote records that the API server has the decided value; p.mu is held.
func (p *peerWatch) wrote(done decision) {
	p.state.written, p.reported = done.value, done.own
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
