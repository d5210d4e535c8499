package gctuner

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMemoryIsCollectedAtRest(t *testing.T) {
	const kilo, mega = 1 << 10, 1 << 20
	var seen samples
	for _, step := range []struct {
		name string
		// more bytes are allocated between two samples.
		more uint64
		want bool
	}{
		{"the program starts", 20 * mega, false},
		{"the first rest", 100 * kilo, true},
		{"it rests on", 100 * kilo, false},
		{"a document is prepared", 5 * mega, false},
		{"another one right after it", 5 * mega, false},
		{"a rest again", 100 * kilo, true},
		{"many polls, as much as a rest may have", mega - 1, false},
		{"and again", mega - 1, false},
		{"and again", mega - 1, false},
		{"and again", mega - 1, false},
		{"and again, and it has become worthwhile", mega - 1, true},
		{"little work", mega, false},
		{"a rest with little to collect", 100 * kilo, false},
	} {
		if got := seen.due(seen.allocated+step.more, 0); got != step.want {
			t.Errorf("%s: due() = %v", step.name, got)
		}
	}
}

func TestAllocatedBytesAreCounted(t *testing.T) {
	before := allocated()
	kept := make([]byte, 8<<20)
	if more := allocated() - before; more < uint64(len(kept)) {
		t.Errorf("8 MiB more are %d bytes more", more)
	}
	runtime.KeepAlive(kept)
}

func TestTheProgramIsBusyWhileManyRequestsAreServed(t *testing.T) {
	const mega = 1 << 20
	var seen samples
	for _, step := range []struct {
		name string
		// allocated and requests are those between two samples.
		allocated, requests uint64
		want                bool
	}{
		{"documents are prepared", 500 * mega, 0, false},
		{"two hundred peers read one", 500 * mega, 400, false},
		{"many ask", 100 * mega, 2000, true},
		{"and go on", 100 * mega, 50000, true},
		{"fewer ask", 50 * mega, 1999, false},
		{"there are none", 0, 0, false},
	} {
		seen.due(seen.allocated+step.allocated, seen.requests+step.requests)
		if seen.busy != step.want {
			t.Errorf("%s: busy = %v", step.name, seen.busy)
		}
	}
}

// In a test of its own because the percentage is the process's.
func TestThePercentageFollowsTheLoad(t *testing.T) {
	const calm = 10
	percent := func() uint64 {
		samples := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(samples)
		return samples[0].Value.Uint64()
	}
	await := func(want uint64) {
		t.Helper()
		for begun := time.Now(); percent() != want; {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("the percentage stays at %d, want %d", percent(), want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	before := debug.SetGCPercent(calm)
	defer debug.SetGCPercent(before)
	var (
		each, all atomic.Uint64
		ended     sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer ended.Wait()
	defer cancel()
	ended.Go(func() { Run(ctx, func() uint64 { return all.Add(each.Load()) }) })
	await(calm)
	each.Store(busyFrom)
	await(busyPercent)
	each.Store(busyFrom - 1)
	await(calm)
	each.Store(busyFrom)
	await(busyPercent)
	cancel()
	await(calm)
}
