package server

import (
	"crypto/ed25519"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// grant is the permission to read one document. The zero grant is for
// documents that anyone may read.
type grant struct {
	registry *neighbours.Registry
	// kind of the resource that joins the caller.
	kind string
	// caller is the clusterUUID of the caller.
	caller string
	// key has verified the caller's token; nil when it was a certificate.
	key ed25519.PublicKey
	// anchors are the roots that the caller's certificate led to.
	anchors []clientcert.Anchor
}

// changed is closed when the permission may have ended; nil when it cannot.
func (g grant) changed() <-chan struct{} {
	if g.registry == nil {
		return nil
	}
	return g.registry.Changed()
}

// stands is true while the caller is still the neighbour that was let in. The
// life of token and certificate does not matter: they were valid when the
// request began.
func (g grant) stands() bool {
	switch {
	case g.registry == nil:
		return true
	case g.key != nil:
		neighbour, known := g.registry.Lookup(g.caller)
		return known && neighbour.Kind == g.kind && neighbour.Key.Equal(g.key)
	}
	anchors := g.registry.Anchors(g.kind)
	for _, anchor := range g.anchors {
		if anchors.Has(anchor) {
			return true
		}
	}
	return false
}
