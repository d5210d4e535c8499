package watcher

import (
	"context"
	"maps"
	"sync"
	"time"
)

// sendTimeout bounds one patch: all that is to be written next waits for it.
const sendTimeout = 30 * time.Second

// patchBatcher has one writer patch the ConfigMap: values that come while a patch
// is being sent go together with the next one. The API server merges patches of
// one object one after the other, and the losers of a race start over: hundreds of
// peers that each send their own patch at once would need seconds.
type patchBatcher struct {
	// sending sends the next batch, one patch at a time.
	sending debouncer

	mu sync.Mutex
	// next is what will be sent; nil when there is nothing.
	next *batch
}

// batch is the content of one patch.
type batch struct {
	// values of resources by their names; nil removes one.
	values map[string]*string
	// sent is closed once the outcome is known; err is the outcome.
	sent chan struct{}
	err  error
}

// sendBy sets how a patch is sent. It must be called before write.
func (b *patchBatcher) sendBy(ctx context.Context, patch func(context.Context, map[string]*string) error) {
	b.sending.work = func() time.Duration {
		if due := b.take(); due != nil {
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
func (b *patchBatcher) write(ctx context.Context, values map[string]*string) error {
	batch := b.add(values)
	b.sending.wake()
	select {
	case <-batch.sent:
		return batch.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *patchBatcher) add(values map[string]*string) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &batch{values: map[string]*string{}, sent: make(chan struct{})}
	}
	maps.Copy(b.next.values, values)
	return b.next
}

func (b *patchBatcher) take() (due *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due, b.next = b.next, nil
	return due
}

// end waits for the patch being sent and sends no other. It is for after the
// contexts of all writers have ended.
func (b *patchBatcher) end() { b.sending.end() }
