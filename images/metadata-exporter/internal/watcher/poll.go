package watcher

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

const (
	// How often a peer is polled at most, after a burst, when its document changes all
	// the time, or when it answers at once though it claims to wait.
	pollInterval = 250 * time.Millisecond
	pollBurst    = 10

	localProblem = "ThisCluster"
)

// document is one document of a peer and its state.
type document struct {
	metadata.Document
	link *link
	// fallback is polled while this document cannot be fetched; nil for none.
	fallback *fallback
}

// poll keeps the document's link up to date until ctx ends.
//
// The first request after a failure does not wait: the peer must answer at once,
// even when nothing has changed there.
func (p *peerWatch) poll(ctx context.Context, of document) {
	var (
		version  string
		failures = &failureLog{watch: p, document: of}
		limiter  = rate.NewLimiter(rate.Every(pollInterval), pollBurst)
		retry    = newBackOff(p.Timing.RetryMin, p.Timing.RetryMax)
		holds    string // the ETag of the document that was read
		wait     time.Duration
		longest  = p.Timing.Wait // how long answers are held on the way to this peer
	)
	defer p.unwatched(of)
	defer of.fallback.end()
	for limiter.Wait(ctx) == nil {
		began := time.Now()
		response, err := p.fetch(ctx, of, holds, wait)
		if ctx.Err() != nil {
			return
		}
		if elapsed := time.Since(began); err != nil && wait > 0 && elapsed >= p.Timing.Cut && reason(err) == string(peer.Unreachable) {
			// Not the peer's failure, unless it does not answer now.
			longest = max(elapsed*4/5, p.Timing.ShortestWait)
			wait = 0
			continue
		}
		if err != nil {
			p.change(func() { of.link.answered = false })
			failures.failed(err)
			of.fallback.begin(ctx)
			wait = 0
			if !sleep(ctx, p.delay(retry, err)) {
				return
			}
			continue
		}
		retry.Reset()
		failures.answered()
		of.fallback.end()
		if !response.NotModified {
			version = shortHash(cmp.Or(response.ETag, response.Digest)) // of a peer without tags the bytes count
			holds = response.ETag
		}
		p.change(func() { *of.link = link{version: version, answered: true} })

		held := holds != "" && (wait == 0 || response.WaitApplied)
		wait = min(p.Timing.Wait, longest)
		if !held && !sleep(ctx, p.Timing.Unheld-time.Since(began)) {
			return
		}
	}
}

// unwatched records that the document is not polled any more. Its version stays known.
func (p *peerWatch) unwatched(of document) {
	p.change(func() { of.link.answered = false })
	p.Metrics.PeerConnected.DeleteLabelValues(p.Kind.label(p.name), of.Path)
}

func (p *peerWatch) fetch(ctx context.Context, of document, holds string, wait time.Duration) (*peer.Response, error) {
	token := ""
	if of.Scope != "" {
		var err error
		if token, err = p.Token(p.connection.clusterUUID, of.Scope); err != nil {
			return nil, err
		}
	}
	request := of.Request(token)
	request.IfNoneMatch, request.Wait, request.Discard = holds, wait, true
	return p.Peers.Get(ctx, p.connection.target, request)
}

// delay is the time until the next poll after err.
func (p *peerWatch) delay(retry *backoff.ExponentialBackOff, err error) time.Duration {
	delay := retry.NextBackOff()
	if rejected := reason(err); rejected == string(peer.Unauthorized) || rejected == string(peer.ClockDiffers) {
		delay = min(delay, p.Timing.RejectedMax)
	}
	return delay
}

func newBackOff(initial, longest time.Duration) *backoff.ExponentialBackOff {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.Multiplier = initial, longest, 2
	return retry
}

// reason is err's reason as package peer has it, or that the problem is in this cluster.
func reason(err error) string {
	if peerError, ok := errors.AsType[*peer.Error](err); ok {
		return string(peerError.Reason)
	}
	return localProblem
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, duration time.Duration) bool {
	select {
	case <-time.After(duration):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// failureLog counts every poll of one document and logs when the outcome
// changes, not each retry.
type failureLog struct {
	watch    *peerWatch
	document document
	last     string
}

func (f *failureLog) failed(err error) {
	now := reason(err)
	f.count(now, 0)
	if now != f.last {
		f.watch.log.Warn("cannot watch the peer; retrying, and the discovery hook asks it every minute",
			"document", f.document.Path, "reason", now, "error", err)
		f.last = now
	}
}

func (f *failureLog) answered() {
	f.count("answered", 1)
	if f.last != "" {
		f.watch.log.Info("the peer answers again", "document", f.document.Path)
		f.last = ""
	}
}

func (f *failureLog) count(result string, connected float64) {
	metrics := f.watch.Metrics
	metrics.PeerConnected.WithLabelValues(f.watch.Kind.label(f.watch.name), f.document.Path).Set(connected)
	metrics.PeerPolls.WithLabelValues(f.watch.Kind.label(f.watch.name), f.document.Path, result).Inc()
}
