package watcher

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// sendTimeout bounds one patch: all that is to be written next waits for it.
const sendTimeout = 30 * time.Second

// writer writes into the ConfigMap: pokes, and the removal of entries of deleted
// resources. It sends one patch at a time, and what is to be written meanwhile goes
// together with the next one. The API server merges patches of one object one after
// the other, and the losers of a race start over: hundreds of peers that each send
// their own patch at once would need seconds.
type writer struct {
	*Watcher
	retry *backoff.ExponentialBackOff
	// since when each key is without a resource.
	since map[string]time.Time
}

func newWriter(of *Watcher) *writer {
	return &writer{Watcher: of, retry: newBackOff(of.Timing.RetryMin, of.Timing.RetryMax)}
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if wait := w.write(ctx); wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		case <-again:
		}
	}
}

// write sends one patch if there is a reason to, and returns after what time there
// may be one though nothing has changed; 0 when there will be none.
func (w *writer) write(ctx context.Context) (again time.Duration) {
	due := w.due(time.Now())
	if len(due.pokes) == 0 && len(due.orphans) == 0 {
		return due.later
	}
	values := map[string]*string{}
	for p, next := range due.pokes {
		values[p.name] = &next.value
	}
	for _, name := range due.orphans {
		values[name] = nil
	}
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	switch err := w.patch(sending, values); {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		return w.failed(due, err)
	}
	w.retry.Reset()
	w.wrote(due, time.Now())
	return due.later
}

// changes are what is to be written.
type changes struct {
	pokes map[*peerWatch]decision
	// orphans are the keys to remove.
	orphans []string
	// later is after what time there may be more though nothing has changed; 0 when there will be none.
	later time.Duration
}

// due looks for all that is to be written now.
func (w *writer) due(now time.Time) changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := changes{pokes: map[*peerWatch]decision{}}
	found.orphans, found.later = w.prunable(w.orphans(), now)
	for _, p := range w.peers {
		next := p.decide(now)
		if next.value != "" {
			next.later = p.pace(now)
		}
		if next.value != "" && next.later == 0 {
			found.pokes[p] = next
		}
		if next.later > 0 && (found.later == 0 || next.later < found.later) {
			found.later = next.later
		}
	}
	return found
}

// wrote records that the API server has the changes.
func (w *writer) wrote(done changes, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, next := range done.pokes {
		if w.peers[p.name] != p {
			continue // its watch has ended meanwhile
		}
		p.wrote(next, at)
		w.Metrics.PeerPokes.WithLabelValues(w.Kind.label(p.name), next.cause).Inc()
		p.log.Info("notified the discovery hook", "cause", next.cause, "versions", next.value)
	}
	for _, name := range done.orphans {
		delete(w.since, name)
	}
	if len(done.orphans) > 0 {
		w.Log.Info("removed entries of deleted resources", "kind", w.Kind.Name, "names", done.orphans)
	}
	w.changed.Set() // a nudge may follow
}

// failed reports why the changes are not written, and returns when to try again.
func (w *writer) failed(due changes, err error) (again time.Duration) {
	switch missing := apierrors.IsNotFound(err); {
	case missing && len(due.pokes) == 0: // the ConfigMap was deleted, and the keys with it
		return due.later
	case missing:
		w.reportMissing(err)
	default:
		for p := range due.pokes {
			p.log.Warn("cannot notify the discovery hook; retrying, and the hook asks the peer every minute", "error", err)
		}
		if len(due.orphans) > 0 {
			w.Log.Warn("cannot remove the entries of deleted resources; retrying", "kind", w.Kind.Name, "error", err)
		}
	}
	return w.retry.NextBackOff()
}
