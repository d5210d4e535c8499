package callers

import "github.com/deckhouse-mesh/istio/lib/peers"

// Peer is a peer that has proved its identity.
type Peer struct {
	*peers.Peer

	registry *peers.Registry
}

// Changed is closed when Allowed may have changed. Get it before calling Allowed,
// so that no change in between is missed.
func (p Peer) Changed() <-chan struct{} { return p.registry.Current().Changed() }

// Allowed is true while the peer's resource exists and the peer has the key and
// the roots with which it was identified.
func (p Peer) Allowed() bool {
	now := p.registry.Current().Lookup(p.ClusterUUID)
	return now != nil && now.Equal(p.Peer)
}
