package watcher

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestADebouncerMissesNoWake(t *testing.T) {
	var changes, seen, at atomic.Int64
	demand := &debouncer{}
	demand.work = func() time.Duration {
		if at.Add(1) > 1 {
			t.Error("the work is done twice at a time")
		}
		defer at.Add(-1)
		seen.Store(changes.Load())
		return 0
	}
	const last = 10_000
	for range last {
		changes.Add(1)
		demand.wake()
	}
	peerstest.Await(t, func() string {
		if seen.Load() != last {
			return "the last change was not seen"
		}
		return ""
	})
	demand.end()
}

func TestADebouncerRepeatsItsWorkOnRequest(t *testing.T) {
	var done atomic.Int64
	demand := &debouncer{}
	demand.work = func() time.Duration {
		if done.Add(1) < 3 {
			return time.Millisecond
		}
		return 0
	}
	demand.wake()
	peerstest.Await(t, func() string {
		if done.Load() < 3 {
			return "the work was not repeated"
		}
		return ""
	})
	demand.end()
	if got := done.Load(); got != 3 {
		t.Errorf("it was done %d times", got)
	}
}

func TestADebouncerEndsAfterItsWork(t *testing.T) {
	var done atomic.Int64
	begun, finish := make(chan struct{}), make(chan struct{})
	demand := &debouncer{}
	demand.work = func() time.Duration {
		done.Add(1)
		close(begun)
		<-finish
		return time.Nanosecond
	}
	demand.wake()
	<-begun
	demand.wake()
	ended := make(chan struct{})
	go func() {
		demand.end()
		close(ended)
	}()
	peerstest.Await(t, func() string {
		demand.mu.Lock()
		defer demand.mu.Unlock()
		if !demand.ended {
			return "the end has not begun"
		}
		return ""
	})
	select {
	case <-ended:
		t.Error("it ended while work was under way")
	default:
	}
	close(finish)
	<-ended
	demand.wake()
	if got := done.Load(); got != 1 {
		t.Errorf("it was done %d times, though it ended during the first", got)
	}
}
