package callers_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestAnAcceptedPeerIsIdentifiedWhileItsVeryResourceExists(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(multicluster), c.Resource(multicluster)
	successor := ofB
	successor.UID = "another"
	withoutUID := b.Entry(multicluster)
	withoutUID.ResourceUID = ""
	for name, test := range map[string]struct {
		entry    peers.Entry
		existing peers.Existing
		want     bool
	}{
		"it exists":                                {b.Entry(multicluster), peers.ExistingOf(ofB, ofC), true},
		"it was deleted":                           {b.Entry(multicluster), peers.ExistingOf(ofC), false},
		"another one has its name":                 {b.Entry(multicluster), peers.ExistingOf(successor, ofC), false},
		"an entry without UID":                     {withoutUID, peers.ExistingOf(successor, ofC), true},
		"an entry without UID, and it was deleted": {withoutUID, peers.ExistingOf(ofC), false},
	} {
		t.Run(name, func(t *testing.T) {
			registry := peers.NewRegistry(multicluster)
			if _, err := registry.SetAccepted(peerstest.JSON(t, map[string]peers.Entry{b.UUID: test.entry, c.UUID: c.Entry(multicluster)})); err != nil {
				t.Fatal(err)
			}
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
			if _, err := identifier.Identify(ask(t, c.Client(t))); err == nil || registry.Current().Len() != 0 {
				t.Errorf("before the existing resources are known: %v, %d peers", err, registry.Current().Len())
			}
			registry.SetExisting(test.existing)
			byToken, tokenErr := identifier.Identify(ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI)))
			byCertificate, certificateErr := identifier.Identify(ask(t, b.Client(t)))
			if test.want {
				if tokenErr != nil || certificateErr != nil || byToken.Name != "b" || byCertificate.Name != "b" {
					t.Errorf("Identify() = %v, %v", tokenErr, certificateErr)
				}
			} else if !errors.Is(tokenErr, authn.ErrUnknownCaller) || !errors.Is(certificateErr, callers.ErrCertificate) {
				t.Errorf("Identify() = %v, %v", tokenErr, certificateErr)
			}
			if deleted := registry.Current().Deleted(); (len(deleted) == 0) != test.want || len(deleted) > 1 {
				t.Errorf("deleted are %v", deleted)
			}
			if _, err := identifier.Identify(ask(t, c.Client(t))); err != nil {
				t.Errorf("another peer: %v", err)
			}
		})
	}
}

func TestAPermissionEndsWithTheResourceThoughTheSecretNamesThePeer(t *testing.T) {
	b, other := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "o")
	ofB, ofOther := b.Resource(multicluster), other.Resource(multicluster)
	successor := ofB
	successor.UID = "another"
	for name, test := range map[string]struct {
		existing []peers.Resource
		ended    bool
	}{
		"nothing changes":               {[]peers.Resource{ofB}, false},
		"another one comes":             {[]peers.Resource{ofB, ofOther}, false},
		"the resource is deleted":       {nil, true},
		"the resource has a successor":  {[]peers.Resource{successor}, true},
		"a federation has its name":     {[]peers.Resource{b.Resource(federation)}, true},
		"the resource of another stays": {[]peers.Resource{ofOther}, true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := registry(t, map[string]peers.Entry{b.UUID: b.Entry(multicluster)})
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens()}
			request := ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI))
			peer, err := identifier.Identify(request)
			if err != nil || identifier.Verified.Len() != 1 {
				t.Fatalf("Identify() = %v, %d tokens are remembered", err, identifier.Verified.Len())
			}
			before := peer.Changed()
			if changed := registry.SetExisting(peers.ExistingOf(test.existing...)); changed != test.ended || closed(before) != test.ended || peer.Allowed() == test.ended {
				t.Errorf("SetExisting() = %t; notified %t; allowed %t", changed, closed(before), peer.Allowed())
			}
			if _, err := identifier.Identify(request); errors.Is(err, authn.ErrUnknownCaller) != test.ended || (err != nil) != test.ended {
				t.Errorf("the remembered token: %v", err)
			}
		})
	}
}

// TestAPeerWithoutResourceIsNotMistakenForAnother: the certificate of a cluster whose
// resource was deleted chains to a root that a peer shares.
func TestAPeerWithoutResourceIsNotMistakenForAnother(t *testing.T) {
	stays, left := peerstest.NewPeer(t, "stays"), peerstest.NewPeer(t, "left")
	left.Root = stays.Root
	entries := map[string]peers.Entry{stays.UUID: stays.Entry(multicluster), left.UUID: left.Entry(multicluster)}
	registry := registry(t, entries)
	registry.SetExisting(peers.ExistingOf(stays.Resource(multicluster)))
	identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
	if peer, err := identifier.Identify(ask(t, left.Client(t))); !errors.Is(err, callers.ErrAmbiguous) {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if peer, err := identifier.Identify(ask(t, stays.Client(t), "Bearer "+stays.Token(t, here, authn.ScopeAPI))); err != nil || peer.Name != "stays" {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if got, want := registry.Current().Deleted(), []peers.Resource{left.Resource(multicluster)}; !slices.Equal(got, want) {
		t.Errorf("deleted are %v, want %v", got, want)
	}
}
