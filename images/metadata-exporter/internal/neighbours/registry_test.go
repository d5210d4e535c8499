package neighbours_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/lib/presence"
)

func changed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func TestNeighboursAreThoseInTheSecretWithAUsableKey(t *testing.T) {
	b := fixture.NewCluster(t, "uuid-b", "cluster-b.local")
	c := fixture.NewCluster(t, "uuid-c", "cluster-c.local")
	broken := b.Entry("IstioFederation")
	broken["name"], broken["authnKeyPub"] = "broken", "no key"

	entries := map[string]any{
		b.UUID: b.Entry("IstioFederation"), c.UUID: c.Entry("IstioMulticluster"), "uuid-d": broken,
	}
	registry := neighbours.New()
	registry.SetResources(fixture.Existing(entries))
	before := registry.Changed()
	didChange, err := registry.Set([]byte(fixture.JSON(t, entries)))
	if !didChange || !changed(before) {
		t.Error("no change was told")
	}
	if err == nil || !strings.Contains(err.Error(), `IstioFederation "broken" (cluster uuid-d)`) || strings.Contains(err.Error(), "uuid-b") {
		t.Errorf("err = %v", err)
	}
	if registry.Len() != 2 {
		t.Errorf("%d neighbours", registry.Len())
	}
	if got, ok := registry.Lookup(c.UUID); !ok || got.Kind != "IstioMulticluster" || !got.Key.Equal(c.Private.Public()) {
		t.Errorf("Lookup = %+v, %v", got, ok)
	}
	if _, ok := registry.Lookup("uuid-d"); ok {
		t.Error("a neighbour without a usable key is there")
	}
}

func TestOnlyAChangeIsAChange(t *testing.T) {
	b := fixture.NewCluster(t, "uuid-b", "cluster-b.local")
	rotated := fixture.NewCluster(t, "uuid-b", "cluster-b.local")
	first := fixture.JSON(t, map[string]any{b.UUID: b.Entry("IstioFederation")})
	for name, test := range map[string]struct {
		content       string
		want, wantErr bool
	}{
		"the same":                    {content: first},
		"the same in another writing": {content: " " + first},
		"another key":                 {content: fixture.JSON(t, map[string]any{b.UUID: rotated.Entry("IstioFederation")}), want: true},
		"another kind":                {content: fixture.JSON(t, map[string]any{b.UUID: b.Entry("IstioMulticluster")}), want: true},
		"nobody":                      {content: `{}`, want: true},
		"no content":                  {content: ``, want: true},
		"rubbish keeps everyone":      {content: `[`, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := neighbours.New()
			registry.SetResources(presence.Of(b.Resource("IstioFederation"), b.Resource("IstioMulticluster")))
			if _, err := registry.Set([]byte(first)); err != nil {
				t.Fatal(err)
			}
			channel := registry.Changed()
			got, err := registry.Set([]byte(test.content))
			if got != test.want || changed(channel) != test.want || (err != nil) != test.wantErr {
				t.Errorf("Set() = %v, %v; channel closed: %v", got, err, changed(channel))
			}
			if _, known := registry.Lookup(b.UUID); !test.want && !known {
				t.Error("the neighbour is gone")
			}
		})
	}
}

func TestAnAcceptedClusterIsANeighbourWhileItsVeryResourceExists(t *testing.T) {
	b, c := fixture.NewCluster(t, "uuid-b", "cluster-b.local"), fixture.NewCluster(t, "uuid-c", "cluster-c.local")
	resourceOfB, resourceOfC := b.Resource("IstioFederation"), c.Resource("IstioFederation")
	successor := resourceOfB
	successor.UID = "another"
	leaf, err := x509.ParseCertificate(b.Root.Client(t, time.Now()).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	withoutUID := b.Entry("IstioFederation")
	delete(withoutUID, "resourceUID")
	for name, test := range map[string]struct {
		entry    map[string]string
		existing presence.Resources
		want     bool
	}{
		"it exists":                                {b.Entry("IstioFederation"), presence.Of(resourceOfB, resourceOfC), true},
		"it is gone":                               {b.Entry("IstioFederation"), presence.Of(resourceOfC), false},
		"another one has its name":                 {b.Entry("IstioFederation"), presence.Of(successor, resourceOfC), false},
		"one of the other kind has its name":       {b.Entry("IstioFederation"), presence.Of(b.Resource("IstioMulticluster"), resourceOfC), false},
		"an older operator tells no UID":           {withoutUID, presence.Of(successor, resourceOfC), true},
		"an older operator tells none, it is gone": {withoutUID, presence.Of(resourceOfC), false},
	} {
		t.Run(name, func(t *testing.T) {
			content := []byte(fixture.JSON(t, map[string]any{b.UUID: test.entry, c.UUID: c.Entry("IstioFederation")}))
			for order, registry := range map[string]*neighbours.Registry{"accepted first": neighbours.New(), "existing first": neighbours.New()} {
				if order == "existing first" {
					registry.SetResources(test.existing)
				}
				if _, err := registry.Set(content); err != nil {
					t.Fatal(err)
				}
				if order == "accepted first" {
					if registry.Len() != 0 {
						t.Errorf("%d neighbours before it is known which resources exist", registry.Len())
					}
					registry.SetResources(test.existing)
				}
				found, known := registry.Lookup(b.UUID)
				if known != test.want || known && !found.Key.Equal(b.Private.Public()) {
					t.Errorf("%s: Lookup() = %+v, %t", order, found, known)
				}
				if _, err := registry.Anchors("IstioFederation").Verify([]*x509.Certificate{leaf}, time.Now()); (err == nil) != test.want {
					t.Errorf("%s: its certificate: %v", order, err)
				}
				if departed := registry.Departed(); (len(departed) == 0) != test.want || len(departed) > 1 {
					t.Errorf("%s: departed are %v", order, departed)
				}
				if _, known := registry.Lookup(c.UUID); !known {
					t.Errorf("%s: another neighbour is gone", order)
				}
			}
		})
	}
}

func TestResourcesThatComeAndGoAreAChangeWhereTheyJoinNeighbours(t *testing.T) {
	b := fixture.NewCluster(t, "uuid-b", "cluster-b.local")
	resource := b.Resource("IstioFederation")
	stranger := presence.Resource{Kind: "IstioFederation", Name: "stranger", UID: "stranger"}
	successor := resource
	successor.UID = "another"
	for name, test := range map[string]struct {
		existing presence.Resources
		want     bool
	}{
		"the same":                            {presence.Of(resource), false},
		"one that nobody was accepted for":    {presence.Of(resource, stranger), false},
		"the neighbour's is gone":             {presence.Resources{}, true},
		"the neighbour's is gone, another is": {presence.Of(stranger), true},
		"the neighbour's has a successor":     {presence.Of(successor), true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := neighbours.New()
			registry.SetResources(presence.Of(resource))
			if _, err := registry.Set([]byte(fixture.JSON(t, map[string]any{b.UUID: b.Entry("IstioFederation")}))); err != nil {
				t.Fatal(err)
			}
			channel := registry.Changed()
			if got := registry.SetResources(test.existing); got != test.want || changed(channel) != test.want {
				t.Errorf("SetResources() = %t; channel closed: %t", got, changed(channel))
			}
			if registry.SetResources(test.existing) {
				t.Error("the same again is a change")
			}
			registry.SetResources(presence.Of(resource))
			if _, known := registry.Lookup(b.UUID); !known {
				t.Error("the neighbour does not come back with its resource")
			}
		})
	}
}

func TestRubbishInTheSecretLeavesTheEndOfAResourceInForce(t *testing.T) {
	b := fixture.NewCluster(t, "uuid-b", "cluster-b.local")
	registry := neighbours.New()
	registry.SetResources(presence.Of(b.Resource("IstioFederation")))
	if _, err := registry.Set([]byte(fixture.JSON(t, map[string]any{b.UUID: b.Entry("IstioFederation")}))); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Set([]byte("[")); err == nil || registry.Len() != 1 {
		t.Fatalf("rubbish: %v, %d neighbours", err, registry.Len())
	}
	if registry.SetResources(presence.Resources{}); registry.Len() != 0 {
		t.Errorf("%d neighbours without a resource", registry.Len())
	}
}
