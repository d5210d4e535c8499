package callers

// Peer is a neighbour that has proved who it is.
type Peer struct {
	registry *Registry
	*neighbour
}

// ClusterUUID of the peer.
func (p Peer) ClusterUUID() string { return p.uuid }

// Name of the IstioMulticluster resource here.
func (p Peer) Name() string { return p.resource.Name }

// Changed is closed when Stands may have changed. Take it before asking
// Stands, lest a change in between is missed.
func (p Peer) Changed() <-chan struct{} { return p.registry.current.Load().superseded }

// Stands is true while the resource is there with the key and the root that
// let the peer in.
func (p Peer) Stands() bool {
	now, known := p.registry.current.Load().byUUID[p.uuid]
	return known && now.equal(p.neighbour)
}
