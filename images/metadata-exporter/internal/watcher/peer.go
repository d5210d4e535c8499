package watcher

import (
	"context"
	"log/slog"
	"sync"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// peerWatch is the work for one resource: a long poll on each of the
// peer's documents, and one goroutine that pokes.
type peerWatch struct {
	*Watcher
	name       string
	connection connection
	log        *slog.Logger

	cancel  context.CancelFunc
	running sync.WaitGroup
	// wake tells the poking goroutine that something below has changed.
	wake chan struct{}

	mu              sync.Mutex
	standing        standing
	public, private link
	// told is what this replica had seen when it last wrote the annotation or
	// found it saying the same; empty until a document was compared with it.
	told revision
}

// link is what is known of one document of the peer.
type link struct {
	// etag of the document; empty until it was seen.
	etag string
	// answered is true while the last poll had an answer.
	answered bool
}

func (w *Watcher) start(ctx context.Context, name string, to connection, stands standing) *peerWatch {
	ctx, cancel := context.WithCancel(ctx)
	p := &peerWatch{
		Watcher: w, name: name, connection: to, standing: stands,
		log: w.Log.With("kind", w.Kind.Name, "peer", name), cancel: cancel, wake: make(chan struct{}, 1),
	}
	p.running.Go(func() { p.poke(ctx) })
	p.running.Go(func() { p.poll(ctx, document{path: metadata.PublicPath, link: &p.public}) })
	if to.clusterUUID != "" {
		p.running.Go(func() { p.poll(ctx, document{path: w.Kind.PrivatePath, link: &p.private, private: true}) })
	}
	return p
}

// stop ends the work and waits until it has ended.
func (p *peerWatch) stop() {
	p.cancel()
	p.running.Wait()
}

// observe takes in what the resource says now.
func (p *peerWatch) observe(stands standing) {
	p.change(func() { p.standing = stands })
}

// change runs what changes the guarded state, and wakes the poking goroutine.
func (p *peerWatch) change(apply func()) {
	p.mu.Lock()
	apply()
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
