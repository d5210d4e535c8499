package watcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// peerWatch is the work for one resource: a long poll on one of the peer's
// documents, and pokes when there is a reason for one.
//
// That is the private one, whose ETag tells of changes of both (of peers of
// this module; of others' public documents the discovery hook's schedule
// tells). The public one stands in while the private one cannot be had: a peer
// that comes back as another, with another key, cannot say so otherwise.
type peerWatch struct {
	*Watcher
	name       string
	connection connection
	log        *slog.Logger

	cancel  context.CancelFunc
	running sync.WaitGroup
	// poking is woken when something below has changed.
	poking onDemand

	mu              sync.Mutex
	standing        standing
	public, private link
	// told is what this replica had seen when it last wrote or found the same
	// written; empty until a document was compared with that.
	told revision
}

// standing is what there is to compare the peer's documents and answers with.
type standing struct {
	// written is the resource's value in the ConfigMap; empty when there is none.
	written string
	// blamesPeer is true while the resource is not Ready because of how the peer answered.
	blamesPeer bool
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
		log: w.Log.With("kind", w.Kind.Name, "peer", name), cancel: cancel,
	}
	poker := newPoker(p)
	p.poking.work = func() time.Duration { return poker.poke(ctx) }
	p.poking.wake()
	watched := p.publicDocument()
	if to.clusterUUID != "" {
		watched = document{Document: w.Kind.Private, link: &p.private, fallback: &fallback{watch: p}}
	}
	p.running.Go(func() { p.poll(ctx, watched) })
	return p
}

func (p *peerWatch) publicDocument() document {
	return document{Document: metadata.PublicDocument, link: &p.public}
}

// stop ends the work and waits until it has ended.
func (p *peerWatch) stop() {
	p.cancel()
	p.running.Wait()
	p.poking.end()
}

// observe takes in what the resource says now.
func (p *peerWatch) observe(blamesPeer bool) {
	p.change(func() { p.standing.blamesPeer = blamesPeer })
}

// show takes in what is written now.
func (p *peerWatch) show(written string) {
	p.change(func() { p.standing.written = written })
}

// change runs what changes the guarded state, and has it looked at for a reason to poke.
func (p *peerWatch) change(apply func()) {
	p.mu.Lock()
	apply()
	p.mu.Unlock()
	p.poking.wake()
}
