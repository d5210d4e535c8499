package watcher

import (
	"sync"
	"time"
)

// onDemand does its work in a goroutine that is there only while there is some:
// one for each peer that does nothing but wait would cost a stack each. The zero
// value has no work and does nothing.
type onDemand struct {
	// work is done once for each wake, or for several. It returns after what time
	// it is to be done again though nobody wakes it; 0 when it is not.
	work func() (again time.Duration)

	mu sync.Mutex
	// working is true while the goroutine is there, wanted when it was woken meanwhile.
	working, wanted, ended bool
	again                  *time.Timer
	running                sync.WaitGroup
}

// wake has the work done, soon and not by the caller.
func (d *onDemand) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.work == nil || d.ended:
	case d.working:
		d.wanted = true
	default:
		d.working = true
		d.running.Go(d.run)
	}
}

func (d *onDemand) run() {
	for d.proceed(d.work()) {
	}
}

// proceed is true when there is more to do at once.
func (d *onDemand) proceed(again time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.again != nil {
		d.again.Stop()
		d.again = nil
	}
	if d.wanted && !d.ended {
		d.wanted = false
		return true
	}
	d.working = false
	if again > 0 && !d.ended {
		d.again = time.AfterFunc(again, d.wake)
	}
	return false
}

// end waits until the work under way is done, and lets none begin any more.
// Whoever calls it sees to it that the work does not take long.
func (d *onDemand) end() {
	d.mu.Lock()
	d.ended = true
	if d.again != nil {
		d.again.Stop()
	}
	d.mu.Unlock()
	d.running.Wait()
}
