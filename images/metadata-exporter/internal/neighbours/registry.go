// Package neighbours knows which clusters may read which private document: the
// clusters of the accepted IstioFederation and IstioMulticluster resources.
package neighbours

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

// SecretKey is the key of the Secret d8-remote-clusters-public-metadata that Set reads.
const SecretKey = "remote-public-metadata.json"

// Neighbour is a cluster that a resource here names.
type Neighbour struct {
	// Kind and Name of the resource.
	Kind, Name string
	// Key verifies the cluster's tokens.
	Key ed25519.PublicKey
}

func (n Neighbour) equal(other Neighbour) bool {
	return n.Kind == other.Kind && n.Name == other.Name && n.Key.Equal(other.Key)
}

// Registry is the current neighbours by clusterUUID, read by many, written by
// one goroutine. Use New.
type Registry struct {
	current atomic.Pointer[roster]
	mu      sync.Mutex // held by writers
}

type roster struct {
	byUUID     map[string]Neighbour
	superseded chan struct{}
}

// New makes a Registry without neighbours.
func New() *Registry {
	registry := &Registry{}
	registry.current.Store(&roster{superseded: make(chan struct{})})
	return registry
}

// Lookup returns the neighbour with that clusterUUID.
func (r *Registry) Lookup(clusterUUID string) (Neighbour, bool) {
	neighbour, ok := r.current.Load().byUUID[clusterUUID]
	return neighbour, ok
}

// Len counts the neighbours.
func (r *Registry) Len() int { return len(r.current.Load().byUUID) }

// Changed is closed when the neighbours become others than they are now.
// Take it before looking up, lest a change in between is missed.
func (r *Registry) Changed() <-chan struct{} { return r.current.Load().superseded }

// Set takes over the neighbours in content, the JSON under SecretKey; empty
// content means there are none. Content that cannot be decoded leaves everyone
// as they are. A neighbour without a usable key is left out; err then names
// each of them while the others are in force.
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
	r.current.Store(&roster{byUUID: byUUID, superseded: make(chan struct{})})
	close(previous.superseded)
	return true, err
}

// parse returns nil and an error when nothing of content can be used.
func parse(content []byte) (map[string]Neighbour, error) {
	var entries map[string]struct {
		Kind        string `json:"kind"`
		Name        string `json:"name"`
		AuthnKeyPub string `json:"authnKeyPub"`
	}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("decode %s: %w", SecretKey, err)
	}
	byUUID := make(map[string]Neighbour, len(entries))
	var problems []error
	for _, clusterUUID := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[clusterUUID]
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q (cluster %s): %w", entry.Kind, entry.Name, clusterUUID, err))
			continue
		}
		byUUID[clusterUUID] = Neighbour{Kind: entry.Kind, Name: entry.Name, Key: key}
	}
	return byUUID, errors.Join(problems...)
}
