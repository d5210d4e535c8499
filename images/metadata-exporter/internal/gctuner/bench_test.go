package gctuner

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// object is about as large as a Service in the exporter's caches.
type object struct {
	next *object
	text [8]string
}

func objects(mebibytes int) *object {
	var first *object
	const size = 1 << 10
	for range mebibytes << 20 / size {
		made := &object{next: first}
		for index := range made.text {
			made.text[index] = strings.Repeat("x", (size-144)/len(made.text))
		}
		first = made
	}
	return first
}

var sink atomic.Pointer[[]byte]

// serve allocates as much as a request does.
func serve() {
	for range 16 {
		piece := make([]byte, 256)
		sink.Store(&piece)
	}
}

// resident is the process's resident memory in MiB.
func resident(b *testing.B) float64 {
	b.Helper()
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var total, pages int
	if _, err := fmt.Sscan(string(content), &total, &pages); err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// BenchmarkRequests compares the ways to bound the memory of an exporter with that
// many MiB of live heap: how long a request takes while many ask, and how much
// memory the process has after that, at rest.
func BenchmarkRequests(b *testing.B) {
	for _, live := range []int{31, 56} {
		for _, setting := range []struct {
			name    string
			percent int
			limit   int64
			tuned   bool
		}{
			{"GOGC=10", 10, 0, false},
			{"GOGC=10 and gctuner", 10, 0, true},
			{"GOGC=100", 100, 0, false},
			{"GOMEMLIMIT=64MiB", 100, 64 << 20, false},
			{"GOGC=10 and GOMEMLIMIT=64MiB", 10, 64 << 20, false},
			{"GOGC=off and GOMEMLIMIT=64MiB", -1, 64 << 20, false},
		} {
			b.Run(fmt.Sprintf("%d MiB/%s", live, setting.name), func(b *testing.B) {
				defer debug.SetGCPercent(debug.SetGCPercent(setting.percent))
				if setting.limit > 0 {
					defer debug.SetMemoryLimit(debug.SetMemoryLimit(setting.limit))
				}
				retained := objects(live)
				debug.FreeOSMemory()
				var (
					served atomic.Uint64
					ended  sync.WaitGroup
				)
				ctx, cancel := context.WithCancel(b.Context())
				if setting.tuned {
					ended.Go(func() { Run(ctx, served.Load) })
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						serve()
						served.Add(1)
					}
				})
				b.StopTimer()
				time.Sleep(3 * time.Second) // until the program is at rest
				b.ReportMetric(resident(b), "MiB-at-rest")
				cancel()
				ended.Wait()
				runtime.KeepAlive(retained)
			})
		}
	}
}
