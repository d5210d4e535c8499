// Package gctuner keeps the exporter small at rest and fast under load. Go's
// collector runs when the heap has grown by a fixed percentage. A small one
// (GOGC=10) costs nothing while peers wait, and half the requests a second when many
// ask; and what a burst leaves behind stays until the next burst, though peers may
// wait for minutes in between.
//
// GOMEMLIMIT alone does not replace it. BenchmarkRequests, on two shared cores
// (2026-11-29; times vary by a third from run to run, memory hardly), with 31 MiB and
// 56 MiB of live heap:
//
//	                           31 MiB             56 MiB
//	GOGC=10                    19.9 µs  44 MiB    14.0 µs   79 MiB at rest
//	GOGC=10 and gctuner         8.5 µs  40 MiB    11.6 µs   68 MiB
//	GOGC=100                    4.2 µs 100 MiB     8.6 µs  179 MiB
//	GOMEMLIMIT=64MiB            4.9 µs  60 MiB    13.9 µs   72 MiB
//	GOGC=off, GOMEMLIMIT=64MiB  4.2 µs  60 MiB    12.8 µs   73 MiB
//
// A limit is as fast while the live heap is far below it, and keeps all the memory
// that it allows: half as much again at rest. Near the limit it is slower than the
// tuner. The live heap grows with the published Services, so no fixed limit fits.
package gctuner

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// sampleEvery is how often the program is sampled.
	sampleEvery = time.Second
	// restsBelow is how many bytes are allocated at most between two samples at
	// rest. The polls of two hundred peers need less, preparing a document far more.
	restsBelow = 1 << 20
	// worthwhile is how many bytes must have been allocated since the last
	// collection for another one: at rest that is about half a minute.
	worthwhile = 4 << 20
	// busyFrom is how many requests served between two samples mean that frequent
	// collections would slow them down. Hundreds of peers that read a changed document
	// send fewer. Allocations do not count, however many: the heap must not spread for
	// preparing documents, because it would keep the holes.
	busyFrom = 2000
	// busyPercent is Go's own percentage.
	busyPercent = 100
)

// Run tunes the collector until ctx ends: GOGC's percentage applies except while the
// program is busy, and at rest all unused memory is collected and returned to the
// system. A program without GOGC, or with more than Go's own, keeps that. requests
// counts those ever served: rejected ones must not count, or unknown callers could
// have the heap spread.
func Run(ctx context.Context, requests func() uint64) {
	calm := debug.SetGCPercent(busyPercent)
	debug.SetGCPercent(calm)
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	last := samples{requests: requests()}
	for {
		select {
		case <-ctx.Done():
			debug.SetGCPercent(calm)
			return
		case <-ticker.C:
		}
		wasBusy := last.busy
		due := last.due(allocated(), requests())
		if last.busy != wasBusy && calm >= 0 && calm < busyPercent {
			percent := calm
			if last.busy {
				percent = busyPercent
			}
			debug.SetGCPercent(percent)
		}
		if due {
			debug.FreeOSMemory()
		}
	}
}

// samples are those of the last time.
type samples struct {
	// allocated is how many bytes had ever been allocated, collected how many at the
	// last collection, and requests how many requests there had been.
	allocated, collected, requests uint64
	// busy is true when the program was busy.
	busy bool
}

// due takes the next samples; it is true when it is time to collect.
func (s *samples) due(allocated, requests uint64) bool {
	rests := allocated-s.allocated < restsBelow
	s.busy = requests-s.requests >= busyFrom
	s.allocated, s.requests = allocated, requests
	if !rests || allocated-s.collected < worthwhile {
		return false
	}
	s.collected = allocated
	return true
}

// allocated is how many bytes have ever been allocated.
func allocated() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
