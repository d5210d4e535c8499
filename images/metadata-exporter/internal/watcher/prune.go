package watcher

import (
	"slices"
	"time"
)

// prunable returns those of orphans that have been orphans for long enough, and after
// what time the next one will have been; 0 when there is no other.
//
// The resources and the ConfigMap are watched apart, so a key that another
// replica has written can be seen before its resource. Therefore a key is removed
// only after it has been without a resource for a while.
func (w *writer) prunable(orphans []string, now time.Time) (due []string, next time.Duration) {
	since := make(map[string]time.Time, len(orphans))
	for _, name := range orphans {
		began, known := w.since[name]
		if !known {
			began = now
		}
		since[name] = began
		wait := began.Add(w.Timing.Orphaned).Sub(now)
		switch {
		case wait <= 0:
			due = append(due, name)
		case next == 0 || wait < next:
			next = wait
		}
	}
	w.since = since
	return due, next
}

// orphans are the keys of resources that do not exist; none before all resources
// are known. The caller holds w.mu.
func (w *Watcher) orphans() []string {
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
