// Package peers is the registry of accepted peers: which clusters may ask this
// one, and how they prove who they are (contract, "Who is a peer").
//
// Two inputs make it. The operator accepts peers and writes them with their keys
// and roots into a Secret. The programs that answer peers see for themselves
// whether the very resource exists that a peer was accepted for: deleting it
// takes the peer's rights away while the operator does not run, too.
package peers

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	// SecretName is the Secret of accepted peers, in the namespace of the programs that read it.
	SecretName = "d8-remote-clusters-public-metadata"
	// SecretKey is its key; the value is a JSON object of Entries by clusterUUID.
	SecretKey = "remote-public-metadata.json"
)

// Entry is one accepted peer in the Secret, as the operator writes it.
type Entry struct {
	// Kind and Name of the resource that the peer was accepted for.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// ResourceUID tells the resource from a later one of its name. Operators of
	// releases that did not write it leave it out.
	ResourceUID types.UID `json:"resourceUID"`
	ClusterUUID string    `json:"clusterUUID"`
	TrustDomain string    `json:"trustDomain,omitempty"`
	// AuthnKeyPub verifies the peer's tokens, RootCA (PEM) its client certificates.
	AuthnKeyPub string `json:"authnKeyPub"`
	RootCA      string `json:"rootCA"`
	// SharedRoots are the fingerprints of those roots in RootCA that are not this
	// peer's alone (NamedRoots). Older programs ignore them.
	SharedRoots []string `json:"sharedRoots,omitempty"`
}

// Peer is an accepted peer. It never changes.
type Peer struct {
	// Resource that the peer was accepted for.
	Resource
	ClusterUUID string
	// Key verifies the peer's tokens.
	Key ed25519.PublicKey
	// Roots verify its client certificates; without one the peer needs a token.
	Roots []*x509.Certificate
	// SharedRoots are the fingerprints of those Roots that are not its alone.
	SharedRoots []string

	// allowed is true while Resource exists and is of a kind that gives rights.
	allowed bool
}

// Equal is true for the same peer with the same credentials and rights.
func (p *Peer) Equal(other *Peer) bool {
	return p.Resource == other.Resource && p.ClusterUUID == other.ClusterUUID && p.allowed == other.allowed &&
		p.Key.Equal(other.Key) && slices.Equal(p.SharedRoots, other.SharedRoots) && slices.EqualFunc(p.Roots, other.Roots, (*x509.Certificate).Equal)
}

// Parse reads the JSON under SecretKey and returns the peers by clusterUUID; nil
// when nothing of it can be used. A peer without a usable key is left out, and
// one without usable roots needs a token: err names each of them.
func Parse(content []byte) (byUUID map[string]*Peer, err error) {
	var entries map[string]Entry
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("decode %s: %w", SecretKey, err)
	}
	byUUID = make(map[string]*Peer, len(entries))
	var problems []error
	for _, clusterUUID := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[clusterUUID]
		resource := Resource{Kind: entry.Kind, Name: entry.Name, UID: entry.ResourceUID}
		key, err := authn.ParsePublicKey(entry.AuthnKeyPub)
		if err == nil && clusterUUID == "" {
			err = errors.New("it has no clusterUUID")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s (cluster %s) is left out: %w", resource, clusterUUID, err))
			continue
		}
		// Times are judged when a certificate is verified: no root has expired at the beginning of time.
		roots, err := metadata.ParseRoots(entry.RootCA, time.Time{})
		if err != nil {
			problems = append(problems, fmt.Errorf("%s (cluster %s) needs a token, its client certificates are not accepted: rootCA: %w",
				resource, clusterUUID, err))
		}
		byUUID[clusterUUID] = &Peer{Resource: resource, ClusterUUID: clusterUUID, Key: key, Roots: roots, SharedRoots: entry.SharedRoots}
	}
	return byUUID, errors.Join(problems...)
}
