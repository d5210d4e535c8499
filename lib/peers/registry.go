package peers

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// Registry has the current peers, read by many, written by one goroutine. Use NewRegistry.
type Registry struct {
	kinds   []string
	current atomic.Pointer[Snapshot]

	mu       sync.Mutex // held by writers
	accepted map[string]*Peer
	existing Existing
}

// NewRegistry makes an empty Registry. Resources of those kinds give rights; a
// peer that was accepted for one of another kind counts only as an owner of its
// roots: a certificate below a root that peers share is not proof of one of them.
func NewRegistry(kinds ...string) *Registry {
	registry := &Registry{kinds: kinds}
	registry.current.Store(newSnapshot(nil))
	return registry
}

// Current returns the peers of this moment.
func (r *Registry) Current() *Snapshot { return r.current.Load() }

// SetAccepted takes over the accepted peers from content, the JSON under
// SecretKey; empty content accepts none. Content that cannot be decoded changes
// nothing. err is Parse's; changed is true when Current has changed.
func (r *Registry) SetAccepted(content []byte) (changed bool, err error) {
	accepted := map[string]*Peer{}
	if len(content) > 0 {
		if accepted, err = Parse(content); accepted == nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = accepted
	return r.update(), err
}

// SetExisting takes over which resources exist. Before the first call none does, and no peer has rights.
func (r *Registry) SetExisting(existing Existing) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.existing.Equal(existing) {
		return false
	}
	r.existing = existing
	return r.update()
}

// update makes a Snapshot of both inputs. The caller holds mu.
func (r *Registry) update() (changed bool) {
	byUUID := make(map[string]*Peer, len(r.accepted))
	for clusterUUID, accepted := range r.accepted {
		peer := *accepted
		peer.allowed = slices.Contains(r.kinds, peer.Kind) && r.existing.Has(peer.Resource)
		byUUID[clusterUUID] = &peer
	}
	previous := r.current.Load()
	if maps.EqualFunc(previous.byUUID, byUUID, (*Peer).Equal) {
		return false
	}
	next := newSnapshot(byUUID)
	for _, peer := range byUUID {
		if !peer.allowed && slices.Contains(r.kinds, peer.Kind) {
			next.deleted = append(next.deleted, peer.Resource)
		}
	}
	slices.SortFunc(next.deleted, Resource.compare)
	r.current.Store(next)
	close(previous.superseded)
	return true
}

// Snapshot is the peers at one moment.
type Snapshot struct {
	byUUID map[string]*Peer
	// anchors are the roots of all accepted peers, allowedAnchors those of the peers with rights, by kind.
	anchors        *clientcert.Anchors
	allowedAnchors map[string]*clientcert.Anchors
	sharedRoots    map[string]bool
	deleted        []Resource
	superseded     chan struct{}
}

func newSnapshot(byUUID map[string]*Peer) *Snapshot {
	made := &Snapshot{
		byUUID: byUUID, anchors: &clientcert.Anchors{}, allowedAnchors: map[string]*clientcert.Anchors{},
		sharedRoots: map[string]bool{}, superseded: make(chan struct{}),
	}
	for clusterUUID, peer := range byUUID {
		for _, fingerprint := range peer.SharedRoots {
			made.sharedRoots[fingerprint] = true
		}
		for _, root := range peer.Roots {
			made.anchors.Add(root, clusterUUID)
			if !peer.allowed {
				continue
			}
			if made.allowedAnchors[peer.Kind] == nil {
				made.allowedAnchors[peer.Kind] = &clientcert.Anchors{}
			}
			made.allowedAnchors[peer.Kind].Add(root, clusterUUID)
		}
	}
	return made
}

// Changed is closed when the Registry's peers have changed since.
func (s *Snapshot) Changed() <-chan struct{} { return s.superseded }

// Lookup returns the peer with that clusterUUID; nil when there is none that has rights.
func (s *Snapshot) Lookup(clusterUUID string) *Peer {
	if peer := s.byUUID[clusterUUID]; peer != nil && peer.allowed {
		return peer
	}
	return nil
}

// Len counts the peers that have rights.
func (s *Snapshot) Len() int {
	count := 0
	for _, peer := range s.byUUID {
		if peer.allowed {
			count++
		}
	}
	return count
}

// Deleted returns the resources that peers were accepted for and that do not exist any more.
func (s *Snapshot) Deleted() []Resource { return s.deleted }

// Anchors are the roots of all accepted peers, with rights or without; their owners are clusterUUIDs.
func (s *Snapshot) Anchors() *clientcert.Anchors { return s.anchors }

// AllowedAnchors are the roots of the peers with rights by a resource of kind; their owners are clusterUUIDs.
func (s *Snapshot) AllowedAnchors(kind string) *clientcert.Anchors {
	if anchors := s.allowedAnchors[kind]; anchors != nil {
		return anchors
	}
	return &clientcert.Anchors{}
}

// Ambiguous is true for a client certificate that does not prove which cluster
// presents it: several have its root, or once named it as theirs.
func (s *Snapshot) Ambiguous(caller clientcert.Caller) bool {
	return len(caller.Owners) > 1 || slices.ContainsFunc(caller.Anchors, func(root clientcert.Anchor) bool {
		return s.sharedRoots[root.String()]
	})
}
