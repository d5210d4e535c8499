package callers_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/fixture"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/presence"
)

func TestAnAcceptedClusterMayPassWhileItsVeryResourceExists(t *testing.T) {
	b, c := fixture.NewCluster(t, "uuid-b"), fixture.NewCluster(t, "uuid-c")
	ofB, ofC := b.Resource(multicluster(), "b"), c.Resource(multicluster(), "c")
	successor := ofB
	successor.UID = "another"
	withoutUID := b.Entry(multicluster(), "b")
	delete(withoutUID, "resourceUID")
	for name, test := range map[string]struct {
		entry    map[string]string
		existing presence.Resources
		want     bool
	}{
		"it exists":                                {b.Entry(multicluster(), "b"), presence.Of(ofB, ofC), true},
		"it is gone":                               {b.Entry(multicluster(), "b"), presence.Of(ofC), false},
		"another one has its name":                 {b.Entry(multicluster(), "b"), presence.Of(successor, ofC), false},
		"an older operator tells no UID":           {withoutUID, presence.Of(successor, ofC), true},
		"an older operator tells none, it is gone": {withoutUID, presence.Of(ofC), false},
	} {
		t.Run(name, func(t *testing.T) {
			registry := callers.NewRegistry()
			if _, err := registry.Set(fixture.JSON(t, map[string]any{b.UUID: test.entry, c.UUID: c.Entry(multicluster(), "c")})); err != nil {
				t.Fatal(err)
			}
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
			if _, err := identifier.Identify(ask(t, clientOf(t, c))); err == nil || registry.Len() != 0 {
				t.Errorf("before it is known which resources exist: %v, %d neighbours", err, registry.Len())
			}
			registry.SetResources(test.existing)
			byToken, tokenErr := identifier.Identify(ask(t, nil, "Bearer "+b.Token(t, here, nil)))
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
	b, other := fixture.NewCluster(t, "uuid-b"), fixture.NewCluster(t, "uuid-o")
	ofB, ofOther := b.Resource(multicluster(), "b"), other.Resource(multicluster(), "o")
	successor := ofB
	successor.UID = "another"
	for name, test := range map[string]struct {
		existing []presence.Resource
		ended    bool
	}{
		"nothing changes":               {[]presence.Resource{ofB}, false},
		"another one comes":             {[]presence.Resource{ofB, ofOther}, false},
		"the resource is deleted":       {nil, true},
		"the resource has a successor":  {[]presence.Resource{successor}, true},
		"a federation has its name":     {[]presence.Resource{b.Resource(v1alpha1.IstioFederationKind, "b")}, true},
		"the resource of another stays": {[]presence.Resource{ofOther}, true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := registry(t, map[string]any{b.UUID: b.Entry(multicluster(), "b")})
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens(nil)}
			request := ask(t, nil, "Bearer "+b.Token(t, here, nil))
			peer, err := identifier.Identify(request)
			if err != nil || identifier.Verified.Len() != 1 {
				t.Fatalf("Identify() = %v, %d tokens are remembered", err, identifier.Verified.Len())
			}
			before := peer.Changed()
			if changed := registry.SetResources(presence.Of(test.existing...)); changed != test.ended || closed(before) != test.ended || peer.Stands() == test.ended {
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
	stays, left := fixture.NewCluster(t, "uuid-stays"), fixture.NewCluster(t, "uuid-left")
	left.Root = stays.Root
	entries := map[string]any{stays.UUID: stays.Entry(multicluster(), "stays"), left.UUID: left.Entry(multicluster(), "left")}
	registry := registry(t, entries)
	registry.SetResources(presence.Of(stays.Resource(multicluster(), "stays")))
	identifier := callers.Identifier{Registry: registry, ClusterUUID: here}
	if peer, err := identifier.Identify(ask(t, clientOf(t, left))); !errors.Is(err, callers.ErrAmbiguous) {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if peer, err := identifier.Identify(ask(t, clientOf(t, stays), "Bearer "+stays.Token(t, here, nil))); err != nil || peer.Name() != "stays" {
		t.Errorf("Identify() = %+v, %v", peer, err)
	}
	if got, want := registry.Departed(), []presence.Resource{left.Resource(multicluster(), "left")}; !slices.Equal(got, want) {
		t.Errorf("departed are %v, want %v", got, want)
	}
}
