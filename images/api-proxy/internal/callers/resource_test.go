package callers_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/peers/peerstest"
)

func TestAnAcceptedClusterMayPassWhileItsVeryResourceExists(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(multicluster()), c.Resource(multicluster())
	successor := ofB
	successor.UID = "another"
	withoutUID := b.Entry(multicluster())
	delete(withoutUID, "resourceUID")
	for name, test := range map[string]struct {
		entry    map[string]string
		existing peers.Existing
		want     bool
	}{
		"it exists":                                {b.Entry(multicluster()), peers.ExistingOf(ofB, ofC), true},
		"it is gone":                               {b.Entry(multicluster()), peers.ExistingOf(ofC), false},
		"another one has its name":                 {b.Entry(multicluster()), peers.ExistingOf(successor, ofC), false},
		"an older operator tells no UID":           {withoutUID, peers.ExistingOf(successor, ofC), true},
		"an older operator tells none, it is gone": {withoutUID, peers.ExistingOf(ofC), false},
	} {
		t.Run(name, func(t *testing.T) {
			registry := callers.NewRegistry()
			if _, err := registry.Set(peerstest.JSON(t, map[string]peers.Entry{b.UUID: test.entry, c.UUID: c.Entry(multicluster())})); err != nil {
				t.Fatal(err)
			}
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
			if _, err := identifier.Identify(ask(t, clientOf(t, c))); err == nil || registry.Len() != 0 {
				t.Errorf("before it is known which resources exist: %v, %d neighbours", err, registry.Len())
			}
			registry.SetResources(test.existing)
			byToken, tokenErr := identifier.Identify(ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI)))
			byCertificate, certificateErr := identifier.Identify(ask(t, clientOf(t, b)))
			if test.want {
				if tokenErr != nil || certificateErr != nil || byToken.Name() != "b" || byCertificate.Name() != "b" {
					t.Errorf("Identify() = %v, %v", tokenErr, certificateErr)
				}
			} else if !errors.Is(tokenErr, authn.ErrUnknownCaller) || !errors.Is(certificateErr, callers.ErrCertificate) {
				t.Errorf("Identify() = %v, %v", tokenErr, certificateErr)
			}
			if departed := registry.Departed(); (len(departed) == 0) != test.want || len(departed) > 1 {
				t.Errorf("departed are %v", departed)
			}
			if _, err := identifier.Identify(ask(t, clientOf(t, c))); err != nil {
				t.Errorf("another neighbour: %v", err)
			}
		})
	}
}

func TestAPermissionEndsWithTheResourceWhileTheSecretNamesIt(t *testing.T) {
	b, other := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "o")
	ofB, ofOther := b.Resource(multicluster()), other.Resource(multicluster())
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
		"a federation has its name":     {[]peers.Resource{b.Resource(v1alpha1.IstioFederationKind)}, true},
		"the resource of another stays": {[]peers.Resource{ofOther}, true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := registry(t, map[string]peers.Entry{b.UUID: b.Entry(multicluster())})
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens(nil)}
			request := ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI))
			peer, err := identifier.Identify(request)
			if err != nil || identifier.Verified.Len() != 1 {
				t.Fatalf("Identify() = %v, %d tokens are remembered", err, identifier.Verified.Len())
			}
			before := peer.Changed()
			if changed := registry.SetResources(peers.ExistingOf(test.existing...)); changed != test.ended || closed(before) != test.ended || peer.Stands() == test.ended {
				t.Errorf("SetResources() = %t; told %t; stands %t", changed, closed(before), peer.Stands())
			}
			if _, err := identifier.Identify(request); errors.Is(err, authn.ErrUnknownCaller) != test.ended || (err != nil) != test.ended {
				t.Errorf("the remembered token: %v", err)
			}
		})
	}
}

// TestWhoHasLeftIsNotTakenForWhoStays: the certificate of a cluster whose resource
// is gone chains to a root that a neighbour shares.
func TestWhoHasLeftIsNotTakenForWhoStays(t *testing.T) {
	stays, left := peerstest.NewPeer(t, "stays"), peerstest.NewPeer(t, "left")
	left.Root = stays.Root
	entries := map[string]peers.Entry{stays.UUID: stays.Entry(multicluster()), left.UUID: left.Entry(multicluster())}
	registry := registry(t, entries)
	registry.SetResources(peers.ExistingOf(stays.Resource(multicluster())))
	identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
	if peer, err := identifier.Identify(ask(t, clientOf(t, left))); !errors.Is(err, callers.ErrAmbiguous) {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if peer, err := identifier.Identify(ask(t, clientOf(t, stays), "Bearer "+stays.Token(t, here, authn.ScopeAPI))); err != nil || peer.Name() != "stays" {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if got, want := registry.Departed(), []peers.Resource{left.Resource(multicluster())}; !slices.Equal(got, want) {
		t.Errorf("departed are %v, want %v", got, want)
	}
}
