package neighbours_test

import (
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
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

	registry := neighbours.New()
	before := registry.Changed()
	didChange, err := registry.Set([]byte(fixture.JSON(t, map[string]any{
		b.UUID: b.Entry("IstioFederation"), c.UUID: c.Entry("IstioMulticluster"), "uuid-d": broken,
	})))
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
