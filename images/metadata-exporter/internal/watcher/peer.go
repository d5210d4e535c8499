package watcher

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// peerWatch is the work for one resource: a long poll on one of the peer's
// documents, and pokes when there is a reason for one.
//
// It polls the private document, whose ETag changes with both documents (of peers
// of this module; other peers' public documents are left to the discovery hook's
// schedule). While the private document cannot be fetched it polls the public one:
// a peer that has a new key has no other way to say so.
type peerWatch struct {
	*Watcher
	name       string
	connection connection
	log        *slog.Logger

	cancel  context.CancelFunc
	running sync.WaitGroup

	// What follows is guarded by Watcher.mu.
	state           state
	public, private link
	// reported is what this replica had seen when it last wrote or found the same
	// written; empty until a document was compared with that.
	reported versions
	// limiter and nudges pace the pokes.
	limiter *rate.Limiter
	nudges  nudges
}

// state is what the peer's documents and answers are compared with.
type state struct {
	// written is the resource's value in the ConfigMap; empty when there is none.
	written string
	// blamesPeer is true while the resource is not Ready because of the peer's answer.
	blamesPeer bool
}

// link is the state of one document of the peer.
type link struct {
	// version is the hash of the document's ETag; empty until it was seen.
	version string
	// answered is true while the last poll had an answer.
	answered bool
}

func (w *Watcher) start(ctx context.Context, name string, to connection, initial state) *peerWatch {
	ctx, cancel := context.WithCancel(ctx)
	p := &peerWatch{
		Watcher: w, name: name, connection: to, state: initial,
		log: w.Log.With("kind", w.Kind.Name, "peer", name), cancel: cancel,
		limiter: rate.NewLimiter(rate.Every(pokeInterval), pokeBurst),
		nudges:  nudges{first: w.Timing.Nudge, longest: w.Timing.NudgeMax},
	}
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
}

// change applies a change to the guarded fields, and has the writer look for a reason to poke.
func (p *peerWatch) change(apply func()) {
	p.mu.Lock()
	apply()
	p.mu.Unlock()
	p.changed.Set()
}
