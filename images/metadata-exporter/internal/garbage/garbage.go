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
	// restsBelow is how many bytes are allocated at most between two looks at
	// rest. What two hundred peers' polls need is less, preparing a document far more.
	restsBelow = 2 << 20
	// worthwhile is how many bytes must have been allocated since the last
	// collection for another one: at rest that is about half a minute.
	worthwhile = 4 << 20
)

// Collect collects garbage whenever there is some and the program rests, until ctx ends.
func Collect(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var seen allocated
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if seen.due(read()) {
			debug.FreeOSMemory()
		}
	}
}

// allocated is how many bytes had ever been allocated.
type allocated struct {
	// lastLook and lastCollection are when that was.
	lastLook, lastCollection uint64
}

// due is true when it is time to collect: now is what has ever been allocated.
func (a *allocated) due(now uint64) bool {
	rests := now-a.lastLook < restsBelow
	a.lastLook = now
	if !rests || now-a.lastCollection < worthwhile {
		return false
	}
	a.lastCollection = now
	return true
}

func read() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
