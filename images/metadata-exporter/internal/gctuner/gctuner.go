// Package gctuner lets the exporter be small while it rests and quick while it
// is busy. Go's collector runs when the heap has grown by a fixed share: a small
// share (GOGC) costs nothing while peers wait and half the requests a second
// when many ask; and what a burst leaves behind stays until the next one, though
// peers may wait for minutes in between.
package gctuner

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often the program is looked at.
	lookEvery = time.Second
	// restsBelow is how many bytes are allocated at most between two looks at
	// rest. What two hundred peers' polls need is less, preparing a document far more.
	restsBelow = 1 << 20
	// worthwhile is how many bytes must have been allocated since the last
	// collection for another one: at rest that is about half a minute.
	worthwhile = 4 << 20
	// busyFrom is how many requests served between two looks mean that collecting often
	// would cost them. Hundreds of peers that read a changed document are less, and
	// so is what preparing documents allocates in any number: the heap must not
	// spread for that, for it would keep the holes.
	busyFrom = 2000
	// busyPercent is Go's own share.
	busyPercent = 100
)

// Run looks after the collector until ctx ends: the share that GOGC sets
// holds but while the program is busy, and at rest all garbage is collected and
// given back. A program without GOGC, or with more than Go's own, keeps that.
// requests tells how many have ever been served: what is refused must not count, or
// whoever is no neighbour could have the heap spread.
func Run(ctx context.Context, requests func() uint64) {
	calm := debug.SetGCPercent(busyPercent)
	debug.SetGCPercent(calm)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	seen := looks{requests: requests()}
	for {
		select {
		case <-ctx.Done():
			debug.SetGCPercent(calm)
			return
		case <-ticker.C:
		}
		wasBusy := seen.busy
		due := seen.due(read(), requests())
		if seen.busy != wasBusy && calm >= 0 && calm < busyPercent {
			share := calm
			if seen.busy {
				share = busyPercent
			}
			debug.SetGCPercent(share)
		}
		if due {
			debug.FreeOSMemory()
		}
	}
}

// looks are what was seen so far.
type looks struct {
	// allocated is how many bytes had ever been allocated at the last look,
	// collected at the last collection, and requests how many there had been.
	allocated, collected, requests uint64
	// busy is true from a look at a busy program to one at another.
	busy bool
}

// due is true when it is time to collect; allocated and requests are what there have ever been.
func (l *looks) due(allocated, requests uint64) bool {
	rests := allocated-l.allocated < restsBelow
	l.busy = requests-l.requests >= busyFrom
	l.allocated, l.requests = allocated, requests
	if !rests || allocated-l.collected < worthwhile {
		return false
	}
	l.collected = allocated
	return true
}

func read() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
