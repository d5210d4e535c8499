// Package neighbours knows which clusters may read which private document: the
// clusters of the IstioFederation and IstioMulticluster resources that the operator
// has accepted and that exist.
package neighbours

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/presence"
)

// SecretKey is the key of the Secret d8-remote-clusters-public-metadata that Set reads.
const SecretKey = "remote-public-metadata.json"

// Neighbour is a cluster that a resource here names.
type Neighbour struct {
	presence.Resource
	// Key verifies the cluster's tokens.
	Key ed25519.PublicKey
	// Roots issue the cluster's client certificate; none when it has none that can be used.
	Roots []*x509.Certificate
}

func (n Neighbour) equal(other Neighbour) bool {
	return n.Resource == other.Resource && n.Key.Equal(other.Key) &&
		slices.EqualFunc(n.Roots, other.Roots, (*x509.Certificate).Equal)
}

// Registry is the current neighbours by clusterUUID, read by many, written by
// one goroutine. Use New.
//
// Two inputs make them: the Secret says who was accepted, and which resources
// exist says who of those is a neighbour still.
type Registry struct {
	current atomic.Pointer[roster]

	mu        sync.Mutex // held by writers
	accepted  map[string]Neighbour
	resources presence.Resources
}

type roster struct {
	byUUID map[string]Neighbour
	// anchors are the roots of the neighbours of each kind.
	anchors    map[string]*clientcert.Anchors
	superseded chan struct{}
}

func newRoster(byUUID map[string]Neighbour) *roster {
	made := &roster{byUUID: byUUID, anchors: map[string]*clientcert.Anchors{}, superseded: make(chan struct{})}
	for clusterUUID, neighbour := range byUUID {
		if made.anchors[neighbour.Kind] == nil {
			made.anchors[neighbour.Kind] = &clientcert.Anchors{}
		}
		for _, root := range neighbour.Roots {
			made.anchors[neighbour.Kind].Add(root, clusterUUID)
		}
	}
	return made
}

// New makes a Registry without neighbours.
func New() *Registry {
	registry := &Registry{}
	registry.current.Store(newRoster(nil))
	return registry
}

// Lookup returns the neighbour with that clusterUUID.
func (r *Registry) Lookup(clusterUUID string) (Neighbour, bool) {
	neighbour, ok := r.current.Load().byUUID[clusterUUID]
	return neighbour, ok
}

// Anchors are the roots of the neighbours that are joined by a resource of kind; their owners are clusterUUIDs.
func (r *Registry) Anchors(kind string) *clientcert.Anchors {
	if anchors := r.current.Load().anchors[kind]; anchors != nil {
		return anchors
	}
	return &clientcert.Anchors{}
}

// Len counts the neighbours.
func (r *Registry) Len() int { return len(r.current.Load().byUUID) }

// Changed is closed when the neighbours become others than they are now.
// Take it before looking up, lest a change in between is missed.
func (r *Registry) Changed() <-chan struct{} { return r.current.Load().superseded }

// Set takes over who is accepted from content, the JSON under SecretKey; empty
// content means nobody. Content that cannot be decoded leaves everyone as they
// are. A cluster without a usable key is left out, one without usable roots
// proves itself by token only; err then names each of them while all else is in
// force. changed tells whether the neighbours have become others.
func (r *Registry) Set(content []byte) (changed bool, err error) {
	accepted := map[string]Neighbour{}
	if len(content) > 0 {
		if accepted, err = parse(content); accepted == nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = accepted
	return r.join(), err
}

// SetResources takes over which resources exist. Before it is called none does,
// and there are no neighbours.
func (r *Registry) SetResources(existing presence.Resources) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resources.Equal(existing) {
		return false
	}
	r.resources = existing
	return r.join()
}

// Departed are the resources of clusters that are accepted and, since the
// resource is gone, no neighbours.
func (r *Registry) Departed() []presence.Resource {
	r.mu.Lock()
	defer r.mu.Unlock()
	var departed []presence.Resource
	for _, clusterUUID := range slices.Sorted(maps.Keys(r.accepted)) {
		if resource := r.accepted[clusterUUID].Resource; !r.resources.Have(resource) {
			departed = append(departed, resource)
		}
	}
	return departed
}

// join makes the neighbours of both inputs. Whoever calls it holds mu.
func (r *Registry) join() (changed bool) {
	byUUID := maps.Clone(r.accepted)
	maps.DeleteFunc(byUUID, func(_ string, each Neighbour) bool { return !r.resources.Have(each.Resource) })
	previous := r.current.Load()
	if maps.EqualFunc(previous.byUUID, byUUID, Neighbour.equal) {
		return false
	}
	r.current.Store(newRoster(byUUID))
	close(previous.superseded)
	return true
}

// parse returns nil and an error when nothing of content can be used.
func parse(content []byte) (map[string]Neighbour, error) {
	var entries map[string]struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		// ResourceUID is empty in what an operator of before has written.
		ResourceUID types.UID `json:"resourceUID"`
		AuthnKeyPub string    `json:"authnKeyPub"`
		RootCA      string    `json:"rootCA"`
	}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("decode %s: %w", SecretKey, err)
	}
	byUUID := make(map[string]Neighbour, len(entries))
	var problems []error
	for _, clusterUUID := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[clusterUUID]
		resource := presence.Resource{Kind: entry.Kind, Name: entry.Name, UID: entry.ResourceUID}
		refuse := func(err error) {
			problems = append(problems, fmt.Errorf("%s (cluster %s): %w", resource, clusterUUID, err))
		}
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err != nil {
			refuse(err)
			continue
		}
		neighbour := Neighbour{Resource: resource, Key: key}
		if entry.RootCA != "" {
			// Time is judged when a certificate is verified: no root is too old for the beginning of time.
			if neighbour.Roots, err = metadata.ParseRoots(entry.RootCA, time.Time{}); err != nil {
				refuse(fmt.Errorf("rootCA, so client certificates cannot be verified: %w", err))
			}
		}
		byUUID[clusterUUID] = neighbour
	}
	return byUUID, errors.Join(problems...)
}
