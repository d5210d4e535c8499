package watcher

import (
	"context"
	"maps"
	"sync"
	"time"
)

// sendTimeout bounds one patch: all that is to be written next waits for it.
const sendTimeout = 30 * time.Second

// gathering has one writer write into the ConfigMap: what is to be written while a
// patch is on its way is gathered, and goes with the next one. The API server
// merges patches of one object one after the other and has the losers of a race
// start over, so that hundreds of peers that poke at once, each for itself, would
// take it seconds.
type gathering struct {
	// sending sends what is gathered, one patch at a time.
	sending onDemand

	mu sync.Mutex
	// next is what will be sent; nil when there is nothing.
	next *batch
}

// batch is what one patch carries.
type batch struct {
	// values of resources by their names; nil removes one.
	values map[string]*string
	// sent is closed once the outcome is known; err is that.
	sent chan struct{}
	err  error
}

// sendBy sets how a patch is sent. It is for the beginning.
func (g *gathering) sendBy(ctx context.Context, patch func(context.Context, map[string]*string) error) {
	g.sending.work = func() time.Duration {
		if due := g.take(); due != nil {
			ctx, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			due.err = patch(ctx, due.values)
			close(due.sent)
		}
		return 0
	}
}

// write has values sent and returns the outcome of the patch that carried
// them, or ctx's error when that ends before; they may be written all the same.
// When one patch has two values of a name, the later one counts.
func (g *gathering) write(ctx context.Context, values map[string]*string) error {
	joined := g.join(values)
	g.sending.wake()
	select {
	case <-joined.sent:
		return joined.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gathering) join(values map[string]*string) *batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &batch{values: map[string]*string{}, sent: make(chan struct{})}
	}
	maps.Copy(g.next.values, values)
	return g.next
}

func (g *gathering) take() (due *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	due, g.next = g.next, nil
	return due
}

// end waits for the patch under way and sends no other. It is for after the
// contexts of all who write have ended.
func (g *gathering) end() { g.sending.end() }
