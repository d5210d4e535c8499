package server

import (
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
)

func TestStrangersCannotTakeTheNeighboursPlaces(t *testing.T) {
	handler := NewHandler(Options{
		Documents: documents.NewSet("cluster.local", nil), Neighbours: neighbours.New(), Metrics: telemetry.NewMetrics(),
	})
	public := &route{path: "public"}
	private := &route{path: "private", audience: &audience{}}
	var release func()
	for index := range maxPublicWaiters {
		var ok bool
		if release, ok = handler.admit(public); !ok {
			t.Fatalf("waiter %d has no place", index+1)
		}
	}
	if _, ok := handler.admit(public); ok {
		t.Error("one too many has a place")
	}
	if _, ok := handler.admit(private); !ok {
		t.Error("a neighbour has no place")
	}
	release()
	if _, ok := handler.admit(public); !ok {
		t.Error("a place that became free is not given again")
	}
}
