// Package peerstest makes what tests of accepted peers have in common: identities
// of clusters, and a fake API server that has the resources they were accepted for.
package peerstest

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// RootLifetime is how long a peer's root is valid.
const RootLifetime = time.Hour

// Peer is a cluster's identity: Name is that of its resource, UUID "uuid-<name>",
// Domain "cluster-<name>.local".
type Peer struct {
	Name, UUID, Domain string
	Keys               authn.Keypair
	Private            ed25519.PrivateKey
	Root               certtest.Authority
}

// NewPeer makes an identity.
func NewPeer(tb testing.TB, name string) Peer {
	tb.Helper()
	keys, err := authn.GenerateKeypair()
	must(tb, err)
	private, err := authn.ParsePrivateKey(keys.Priv)
	must(tb, err)
	domain := "cluster-" + name + ".local"
	root := certtest.NewRoot("Istio CA of "+domain, time.Now(), certtest.Until(time.Now().Add(RootLifetime)))
	return Peer{Name: name, UUID: "uuid-" + name, Domain: domain, Keys: keys, Private: private, Root: root}
}

// Entry of the peer in the Secret, accepted for a resource of that kind.
func (p Peer) Entry(kind string) peers.Entry {
	return peers.Entry{
		Kind: kind, Name: p.Name, ResourceUID: p.Resource(kind).UID, ClusterUUID: p.UUID, TrustDomain: p.Domain,
		AuthnKeyPub: p.Keys.Pub, RootCA: p.Root.PEM(),
	}
}

// Resource of that kind that the peer was accepted for.
func (p Peer) Resource(kind string) peers.Resource {
	return peers.Resource{Kind: kind, Name: p.Name, UID: types.UID("resource of " + p.UUID)}
}

// PublicJSON is the peer's public document.
func (p Peer) PublicJSON(tb testing.TB) string {
	tb.Helper()
	return string(JSON(tb, metadata.Public{ClusterUUID: p.UUID, AuthnKeyPub: p.Keys.Pub, RootCA: p.Root.PEM(), TrustDomain: p.Domain}))
}

// Token of the peer, valid for a minute; changes, of which nil is none, may make it invalid.
func (p Peer) Token(tb testing.TB, audience, scope string, changes ...func(*authn.Token)) string {
	tb.Helper()
	token := authn.Token{
		Subject: p.UUID, Audience: audience, Scope: scope,
		NotBefore: time.Now().Add(-time.Second), Expires: time.Now().Add(time.Minute),
	}
	for _, change := range changes {
		if change != nil {
			change(&token)
		}
	}
	signed, err := authn.Sign(p.Private, token)
	must(tb, err)
	return signed
}

// Client is a client certificate of the peer; changes, of which nil is none, may make it invalid.
func (p Peer) Client(tb testing.TB, changes ...certtest.Change) *tls.Certificate {
	tb.Helper()
	pair := p.Root.Client(time.Now(), func(c *x509.Certificate) {
		for _, change := range changes {
			if change != nil {
				change(c)
			}
		}
	})
	return &pair
}

// Entries of those peers, all accepted for resources of that kind.
func Entries(kind string, accepted ...Peer) map[string]peers.Entry {
	entries := make(map[string]peers.Entry, len(accepted))
	for _, each := range accepted {
		entries[each.UUID] = each.Entry(kind)
	}
	return entries
}

// Existing is the set of the resources that those peers were accepted for.
func Existing(entries map[string]peers.Entry) peers.Existing {
	resources := make([]peers.Resource, 0, len(entries))
	for _, each := range entries {
		resources = append(resources, peers.Resource{Kind: each.Kind, Name: each.Name, UID: each.ResourceUID})
	}
	return peers.ExistingOf(resources...)
}

// Accept makes those peers, whose resources exist, the ones of registry.
func Accept(tb testing.TB, registry *peers.Registry, entries map[string]peers.Entry) {
	tb.Helper()
	registry.SetExisting(Existing(entries))
	_, err := registry.SetAccepted(JSON(tb, entries))
	must(tb, err)
}

// Deadline is how long tests wait for what should come within milliseconds.
const Deadline = 10 * time.Second

// Await fails the test unless condition returns an empty string before Deadline.
func Await(tb testing.TB, condition func() (missing string)) {
	tb.Helper()
	awaittest.Holds(tb, Deadline, "", condition)
}

// JSON encodes value.
func JSON(tb testing.TB, value any) []byte {
	tb.Helper()
	encoded, err := json.Marshal(value)
	must(tb, err)
	return encoded
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
