package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

func BenchmarkServingThePreparedDocument(b *testing.B) {
	e := start(b)
	handler := server.NewHandler(server.Options{
		Documents: e.documents, Neighbours: e.neighbours, ClusterUUID: e.own.UUID,
		Ready: func() error { return nil }, Metrics: e.metrics, Log: fixture.Log(),
	})
	request := httptest.NewRequest(http.MethodGet, server.Prefix+metadata.PublicPath, nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(discard{http.Header{}}, request)
	}
}

func BenchmarkTwoHundredWaiters(b *testing.B) {
	for b.Loop() {
		e := start(b)
		header := e.waiting(50)
		before := heap()
		var all []<-chan answer
		for index := range 200 {
			all = append(all, e.hold(index+1, metadata.FederationPath, header...))
		}
		// Both sides of the connection run in this process and are counted.
		b.ReportMetric(float64(heap()-before)/200, "B/waiter")
		e.publish("web")
		for _, answers := range all {
			e.receive(answers)
		}
		e.stop()
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse + stats.StackInuse)
}
