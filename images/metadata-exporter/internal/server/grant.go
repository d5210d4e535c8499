package server

import (
	"crypto/ed25519"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

// grant is the permission to read one document. The zero grant is for
// documents that anyone may read.
type grant struct {
	registry *peers.Registry
	// kind of the resource that the caller was accepted for.
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
	return g.registry.Current().Changed()
}

// valid is true while the caller is still the peer that was accepted. The
// lifetime of its token or certificate does not matter: they were valid when the
// request began.
func (g grant) valid() bool {
	switch {
	case g.registry == nil:
		return true
	case g.key != nil:
		peer := g.registry.Current().Lookup(g.caller)
		return peer != nil && peer.Kind == g.kind && peer.Key.Equal(g.key)
	}
	anchors := g.registry.Current().AllowedAnchors(g.kind)
	for _, anchor := range g.anchors {
		if anchors.Has(anchor) {
			return true
		}
	}
	return false
}
