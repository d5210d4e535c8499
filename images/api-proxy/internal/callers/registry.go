// Package callers knows who may use the API proxy: the clusters of the
// IstioMulticluster resources that the operator has accepted and that exist, each proving itself with a client certificate or
// a token (contract, "Who is a neighbour").
package callers

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

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/presence"
)

// SecretKey is the key of the Secret d8-remote-clusters-public-metadata that Set reads.
const SecretKey = "remote-public-metadata.json"

// neighbour is a cluster that the operator has accepted for a resource here, of either kind.
type neighbour struct {
	uuid     string
	resource presence.Resource
	// exists is true while the resource is seen. Resources of the kind that opens
	// nothing here are not looked for.
	exists bool
	// key verifies the cluster's tokens.
	key ed25519.PublicKey
	// rootPEM and roots verify its client certificates; roots is empty when there are none.
	rootPEM string
	roots   []*x509.Certificate
}

func (n *neighbour) mayPass() bool {
	return n.exists && n.resource.Kind == v1alpha1.IstioMulticlusterKind
}

// departed is true when the cluster could pass if its resource were not gone.
func (n *neighbour) departed() bool {
	return !n.exists && n.resource.Kind == v1alpha1.IstioMulticlusterKind
}

func (n *neighbour) equal(other *neighbour) bool {
	return n.uuid == other.uuid && n.resource == other.resource && n.exists == other.exists &&
		n.key.Equal(other.key) && n.rootPEM == other.rootPEM
}

// Registry is the current neighbours, read by many, written by one goroutine. Use NewRegistry.
//
// Two inputs make them: the Secret says who was accepted, and which resources
// exist says who of those may pass still. The others stay known as owners of their
// roots: a certificate under a root that they share with a neighbour is not taken for the neighbour's.
type Registry struct {
	current atomic.Pointer[roster]

	mu        sync.Mutex // held by writers
	accepted  map[string]*neighbour
	resources presence.Resources
}

type roster struct {
	byUUID map[string]*neighbour
	// anchors are the roots of the neighbours of both kinds; their owners are UUIDs.
	anchors    *clientcert.Anchors
	superseded chan struct{}
}

func newRoster(byUUID map[string]*neighbour) *roster {
	made := &roster{byUUID: byUUID, anchors: &clientcert.Anchors{}, superseded: make(chan struct{})}
	for uuid, each := range byUUID {
		for _, root := range each.roots {
			made.anchors.Add(root, uuid)
		}
	}
	return made
}

// NewRegistry makes a Registry without neighbours.
func NewRegistry() *Registry {
	registry := &Registry{}
	registry.current.Store(newRoster(nil))
	return registry
}

// Len counts the neighbours that may use the proxy.
func (r *Registry) Len() int {
	count := 0
	for _, each := range r.current.Load().byUUID {
		if each.mayPass() {
			count++
		}
	}
	return count
}

// Departed are the IstioMulticlusters of clusters that are accepted and, since
// the resource is gone, may not use the proxy.
func (r *Registry) Departed() []presence.Resource {
	var departed []presence.Resource
	byUUID := r.current.Load().byUUID
	for _, uuid := range slices.Sorted(maps.Keys(byUUID)) {
		if byUUID[uuid].departed() {
			departed = append(departed, byUUID[uuid].resource)
		}
	}
	return departed
}

// Set takes over who is accepted from content, the JSON under SecretKey; empty
// content means nobody. Content that cannot be decoded leaves everyone as they
// are. A cluster without a usable key is left out, and one without a usable root
// has to show a token; err then names each of them while the rest is in force.
// changed tells whether the neighbours have become others.
func (r *Registry) Set(content []byte) (changed bool, err error) {
	accepted := map[string]*neighbour{}
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
// and nobody may use the proxy.
func (r *Registry) SetResources(existing presence.Resources) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resources.Equal(existing) {
		return false
	}
	r.resources = existing
	return r.join()
}

// join makes the neighbours of both inputs. Whoever calls it holds mu.
func (r *Registry) join() (changed bool) {
	byUUID := make(map[string]*neighbour, len(r.accepted))
	for uuid, each := range r.accepted {
		joined := *each
		joined.exists = r.resources.Have(each.resource)
		byUUID[uuid] = &joined
	}
	previous := r.current.Load()
	if maps.EqualFunc(previous.byUUID, byUUID, (*neighbour).equal) {
		return false
	}
	r.current.Store(newRoster(byUUID))
	close(previous.superseded)
	return true
}

// parse returns nil and an error when nothing of content can be used.
func parse(content []byte) (map[string]*neighbour, error) {
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
	byUUID := make(map[string]*neighbour, len(entries))
	var problems []error
	for _, uuid := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[uuid]
		resource := presence.Resource{Kind: entry.Kind, Name: entry.Name, UID: entry.ResourceUID}
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err == nil && uuid == "" {
			err = errors.New("it has no clusterUUID")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s (cluster %s) is left out: %w", resource, uuid, err))
			continue
		}
		// Time is judged when a certificate is verified: no root is too old for the beginning of time.
		roots, err := metadata.ParseRoots(entry.RootCA, time.Time{})
		if err != nil {
			problems = append(problems, fmt.Errorf("%s (cluster %s) needs a token, its client certificates are not accepted: rootCA: %w",
				resource, uuid, err))
		}
		byUUID[uuid] = &neighbour{uuid: uuid, resource: resource, key: key, rootPEM: entry.RootCA, roots: roots}
	}
	return byUUID, errors.Join(problems...)
}
