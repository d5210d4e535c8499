// Package callers knows who may use the API proxy: the clusters of accepted
// IstioMulticluster resources, each proving itself with a client certificate or
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

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// SecretKey is the key of the Secret d8-remote-clusters-public-metadata that Set reads.
const SecretKey = "remote-public-metadata.json"

// neighbour is a cluster that a resource here names, of either kind.
type neighbour struct {
	uuid, kind, name string
	// key verifies the cluster's tokens.
	key ed25519.PublicKey
	// rootPEM and roots verify its client certificates; roots is empty when there are none.
	rootPEM string
	roots   []*x509.Certificate
}

func (n *neighbour) mayPass() bool { return n.kind == v1alpha1.IstioMulticlusterKind }

func (n *neighbour) equal(other *neighbour) bool {
	return n.uuid == other.uuid && n.kind == other.kind && n.name == other.name &&
		n.key.Equal(other.key) && n.rootPEM == other.rootPEM
}

// Registry is the current neighbours, read by many, written by one goroutine. Use NewRegistry.
type Registry struct {
	current atomic.Pointer[roster]
	mu      sync.Mutex // held by writers
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

// Set takes over the neighbours in content, the JSON under SecretKey; empty
// content means there are none. Content that cannot be decoded leaves everyone
// as they are. A neighbour without a usable key is left out, and one without a
// usable root has to show a token; err then names each of them while the rest
// is in force.
func (r *Registry) Set(content []byte) (changed bool, err error) {
	byUUID := map[string]*neighbour{}
	if len(content) > 0 {
		if byUUID, err = parse(content); byUUID == nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	previous := r.current.Load()
	if maps.EqualFunc(previous.byUUID, byUUID, (*neighbour).equal) {
		return false, err
	}
	r.current.Store(newRoster(byUUID))
	close(previous.superseded)
	return true, err
}

// parse returns nil and an error when nothing of content can be used.
func parse(content []byte) (map[string]*neighbour, error) {
	var entries map[string]struct {
		Kind        string `json:"kind"`
		Name        string `json:"name"`
		AuthnKeyPub string `json:"authnKeyPub"`
		RootCA      string `json:"rootCA"`
	}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("decode %s: %w", SecretKey, err)
	}
	byUUID := make(map[string]*neighbour, len(entries))
	var problems []error
	for _, uuid := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[uuid]
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err == nil && uuid == "" {
			err = errors.New("it has no clusterUUID")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q (cluster %s) is left out: %w", entry.Kind, entry.Name, uuid, err))
			continue
		}
		// Time is judged when a certificate is verified: no root is too old for the beginning of time.
		roots, err := metadata.ParseRoots(entry.RootCA, time.Time{})
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q (cluster %s) needs a token, its client certificates are not accepted: rootCA: %w",
				entry.Kind, entry.Name, uuid, err))
		}
		byUUID[uuid] = &neighbour{uuid: uuid, kind: entry.Kind, name: entry.Name, key: key, rootPEM: entry.RootCA, roots: roots}
	}
	return byUUID, errors.Join(problems...)
}
