package watcher

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// sweeper removes from the ConfigMap the keys of resources that do not exist.
//
// The resources and the ConfigMap are watched apart, so a key that another
// replica has written can be seen before its resource. Therefore a key has to be
// without one for a while.
type sweeper struct {
	*Watcher
	// since when each key is without a resource.
	since map[string]time.Time
	retry *backoff.ExponentialBackOff
}

func newSweeper(of *Watcher) *sweeper {
	return &sweeper{Watcher: of, retry: newBackOff(of.Timing.RetryMin, of.Timing.RetryMax)}
}

// sweep removes what is due, and says after what time something may be though
// nothing has changed; 0 when nothing will be.
func (s *sweeper) sweep(ctx context.Context) (again time.Duration) {
	due, again := s.due(s.orphans(), time.Now())
	if len(due) == 0 {
		return again
	}
	values := make(map[string]*string, len(due))
	for _, name := range due {
		values[name] = nil
	}
	err := s.write(ctx, values)
	switch {
	case ctx.Err() != nil || apierrors.IsNotFound(err): // the keys are gone with the ConfigMap
		return again
	case err != nil:
		s.Log.Warn("cannot remove what was written of resources that are gone; retrying", "kind", s.Kind.Name, "error", err)
		return s.retry.NextBackOff()
	}
	s.retry.Reset()
	for _, name := range due {
		delete(s.since, name)
	}
	s.Log.Info("removed what was written of resources that are gone", "kind", s.Kind.Name, "names", due)
	return again
}

// due returns those of orphans that have been orphans for long enough, and after
// what time the next one will have been; 0 when there is no other.
func (s *sweeper) due(orphans []string, now time.Time) (due []string, next time.Duration) {
	since := make(map[string]time.Time, len(orphans))
	for _, name := range orphans {
		began, known := s.since[name]
		if !known {
			began = now
		}
		since[name] = began
		wait := began.Add(s.Timing.Orphaned).Sub(now)
		switch {
		case wait <= 0:
			due = append(due, name)
		case next == 0 || wait < next:
			next = wait
		}
	}
	s.since = since
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
		if _, there := w.peers[name]; !there {
			orphans = append(orphans, name)
		}
	}
	slices.Sort(orphans)
	return orphans
}
