// Package garbage gives memory back while the exporter rests. Go's collector
// runs when the heap has grown, so what the last burst of work left behind stays
// until the next one, though peers may wait for minutes in between.
package garbage

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often a rest is looked for.
	lookEvery = 2 * time.Second
	// restsBelow is how many bytes a second may be allocated at rest. What two
	// hundred peers' polls need is less, preparing or sending documents far more.
	restsBelow = 1 << 20
	// worthwhile is the share of the live heap that garbage must have, as its inverse.
	worthwhile = 16
)

// heap is what Go's runtime says of its heap.
type heap struct {
	// allocated bytes since the start; objects are those there now, garbage
	// among them, and live those that the last collection left.
	allocated, objects, live uint64
}

// Collect collects garbage whenever there is some and the program rests, until ctx ends.
func Collect(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	before := read()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := read()
		if due(before, now) {
			debug.FreeOSMemory()
			now = read()
		}
		before = now
	}
}

// due is true when little was allocated since before, and enough of what is
// there is garbage.
func due(before, now heap) bool {
	rests := now.allocated-before.allocated < uint64(restsBelow*lookEvery/time.Second)
	return rests && now.objects > now.live+now.live/worthwhile
}

func read() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
}
