package watcher

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// pruner removes the keys of deleted resources from the ConfigMap.
//
// The resources and the ConfigMap are watched apart, so a key that another
// replica has written can be seen before its resource. Therefore a key is removed
// only after it has been without a resource for a while.
type pruner struct {
	*Watcher
	// since when each key is without a resource.
	since map[string]time.Time
	retry *backoff.ExponentialBackOff
}

func newPruner(of *Watcher) *pruner {
	return &pruner{Watcher: of, retry: newBackOff(of.Timing.RetryMin, of.Timing.RetryMax)}
}

// prune removes the keys that are due, and returns after what time others may be
// though nothing has changed; 0 when none will be.
func (p *pruner) prune(ctx context.Context) (again time.Duration) {
	due, again := p.due(p.orphans(), time.Now())
	if len(due) == 0 {
		return again
	}
	values := make(map[string]*string, len(due))
	for _, name := range due {
		values[name] = nil
	}
	err := p.write(ctx, values)
	switch {
	case ctx.Err() != nil || apierrors.IsNotFound(err): // the ConfigMap was deleted, and the keys with it
		return again
	case err != nil:
		p.Log.Warn("cannot remove the entries of deleted resources; retrying", "kind", p.Kind.Name, "error", err)
		return p.retry.NextBackOff()
	}
	p.retry.Reset()
	for _, name := range due {
		delete(p.since, name)
	}
	p.Log.Info("removed entries of deleted resources", "kind", p.Kind.Name, "names", due)
	return again
}

// due returns those of orphans that have been orphans for long enough, and after
// what time the next one will have been; 0 when there is no other.
func (p *pruner) due(orphans []string, now time.Time) (due []string, next time.Duration) {
	since := make(map[string]time.Time, len(orphans))
	for _, name := range orphans {
		began, known := p.since[name]
		if !known {
			began = now
		}
		since[name] = began
		wait := began.Add(p.Timing.Orphaned).Sub(now)
		switch {
		case wait <= 0:
			due = append(due, name)
		case next == 0 || wait < next:
			next = wait
		}
	}
	p.since = since
	return due, next
}

// orphans are the keys of resources that do not exist; none before all resources are known.
func (w *Watcher) orphans() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.complete {
		return nil
	}
	var orphans []string
	for name := range w.written {
		if _, exists := w.peers[name]; !exists {
			orphans = append(orphans, name)
		}
	}
	slices.Sort(orphans)
	return orphans
}
