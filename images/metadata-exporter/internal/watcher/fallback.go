package watcher

import (
	"context"
	"sync"
)

// fallback polls the peer's public document between begin and end. Its user is one
// goroutine, which polls the private document; a nil fallback does nothing.
type fallback struct {
	watch *peerWatch
	// cancel ends the poll; nil while there is none.
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// begin starts the poll if there is none; it ends with ctx at the latest.
func (f *fallback) begin(ctx context.Context) {
	if f == nil || f.cancel != nil {
		return
	}
	ctx, f.cancel = context.WithCancel(ctx)
	f.running.Go(func() { f.watch.poll(ctx, f.watch.publicDocument()) })
}

// end ends the poll and waits until it has ended. The seen version stays known.
func (f *fallback) end() {
	if f == nil || f.cancel == nil {
		return
	}
	f.cancel()
	f.cancel = nil
	f.running.Wait()
}
