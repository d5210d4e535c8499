package watcher

import (
	"sync"
	"time"
)

// debouncer does its work once for any number of wakes, in a goroutine that exists
// only while there is work: one for each peer that only waits would cost a stack
// each. The zero value has no work and does nothing.
type debouncer struct {
	// work is done once for each wake, or for several. It returns after what time
	// it is to be done again without a wake; 0 when it is not.
	work func() (again time.Duration)

	mu sync.Mutex
	// working is true while the goroutine exists, wanted when it was woken meanwhile.
	working, wanted, ended bool
	again                  *time.Timer
	running                sync.WaitGroup
}

// wake has the work done, soon and not by the caller.
func (d *debouncer) wake() {
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

func (d *debouncer) run() {
	for d.proceed(d.work()) {
	}
}

// proceed is true when there is more to do at once.
func (d *debouncer) proceed(again time.Duration) bool {
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

// end waits until the work in progress is done, and lets none begin any more. The
// caller makes sure that the work does not take long.
func (d *debouncer) end() {
	d.mu.Lock()
	d.ended = true
	if d.again != nil {
		d.again.Stop()
	}
	d.mu.Unlock()
	d.running.Wait()
}
