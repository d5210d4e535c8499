// Package neighbours knows which clusters may read which private document: the
// clusters of the accepted IstioFederation and IstioMulticluster resources.
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

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// SecretKey is the key of the Secret d8-remote-clusters-public-metadata that Set reads.
const SecretKey = "remote-public-metadata.json"

// Neighbour is a cluster that a resource here names.
type Neighbour struct {
	// Kind and Name of the resource.
	Kind, Name string
	// Key verifies the cluster's tokens.
	Key ed25519.PublicKey
	// Roots issue the cluster's client certificate; none when it has none that can be used.
	Roots []*x509.Certificate
}

func (n Neighbour) equal(other Neighbour) bool {
	return n.Kind == other.Kind && n.Name == other.Name && n.Key.Equal(other.Key) &&
		slices.EqualFunc(n.Roots, other.Roots, (*x509.Certificate).Equal)
}

// Registry is the current neighbours by clusterUUID, read by many, written by
// one goroutine. Use New.
type Registry struct {
	current atomic.Pointer[roster]
	mu      sync.Mutex // held by writers
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

// Set takes over the neighbours in content, the JSON under SecretKey; empty
// content means there are none. Content that cannot be decoded leaves everyone
// as they are. A neighbour without a usable key is left out, one without usable
// roots proves itself by token only; err then names each of them while all else
// is in force.
func (r *Registry) Set(content []byte) (changed bool, err error) {
	byUUID := map[string]Neighbour{}
	if len(content) > 0 {
		if byUUID, err = parse(content); byUUID == nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	previous := r.current.Load()
	if maps.EqualFunc(previous.byUUID, byUUID, Neighbour.equal) {
		return false, err
	}
	r.current.Store(newRoster(byUUID))
	close(previous.superseded)
	return true, err
}

// parse returns nil and an error when nothing of content can be used.
func parse(content []byte) (map[string]Neighbour, error) {
	var entries map[string]struct {
		Kind        string `json:"kind"`
		Name        string `json:"name"`
		AuthnKeyPub string `json:"authnKeyPub"`
		RootCA      string `json:"rootCA"`
	}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("decode %s: %w", SecretKey, err)
	}
	byUUID := make(map[string]Neighbour, len(entries))
	var problems []error
	for _, clusterUUID := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[clusterUUID]
		refuse := func(err error) {
			problems = append(problems, fmt.Errorf("%s %q (cluster %s): %w", entry.Kind, entry.Name, clusterUUID, err))
		}
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err != nil {
			refuse(err)
			continue
		}
		neighbour := Neighbour{Kind: entry.Kind, Name: entry.Name, Key: key}
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
