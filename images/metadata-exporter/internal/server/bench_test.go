package server_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// discard is a response writer that stores nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

func BenchmarkServingThePreparedDocument(b *testing.B) {
	e := start(b)
	handler := server.NewHandler(server.Options{
		Documents: e.documents, Peers: e.peers, ClusterUUID: e.own.UUID,
		Ready: func() error { return nil }, Metrics: e.metrics, Log: slog.New(slog.DiscardHandler),
	})
	request := httptest.NewRequest(http.MethodGet, server.Prefix+metadata.PublicPath, nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(discard{http.Header{}}, request)
	}
}

func BenchmarkTwoHundredHeldRequests(b *testing.B) {
	const each = 10 // of one peer, for which there is a limit
	for b.Loop() {
		e := start(b)
		entries := map[string]peers.Entry{}
		var callers []peerstest.Peer
		for index := range 200 / each {
			caller := peerstest.NewPeer(b, strconv.Itoa(index))
			callers, entries[caller.UUID] = append(callers, caller), caller.Entry("IstioFederation")
		}
		e.setPeers(entries)
		before := heap()
		var all []<-chan answer
		for _, caller := range callers {
			header := append(bearer(caller.Token(b, e.own.UUID, authn.ScopePrivateFederation)),
				"If-None-Match", e.documents.Federation.Current().ETag, "Prefer", "wait=50")
			for range each {
				all = append(all, e.hold(len(all)+1, metadata.FederationPath, header...))
			}
		}
		// Both sides of the connection run in this process and are counted.
		b.ReportMetric(float64(heap()-before)/float64(len(all)), "B/waiter")
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

// BenchmarkProvingIdentity is the cost of authentication for a private document.
func BenchmarkProvingIdentity(b *testing.B) {
	e := start(b)
	handler := server.NewHandler(server.Options{
		Documents: e.documents, Peers: e.peers, ClusterUUID: e.own.UUID,
		IngressClients: e.ingressClients(), Ready: func() error { return nil }, Metrics: e.metrics, Log: slog.New(slog.DiscardHandler),
	})
	pair, ingress := e.federated.Root.Client(time.Now()), e.ingress.Client(time.Now())
	stranger := e.unrelated.Root.Client(time.Now())
	for _, proof := range []struct {
		name       string
		connection *tls.Certificate
		header     []string
		want       int
	}{
		{"token", nil, bearer(e.federated.Token(b, e.own.UUID, authn.ScopePrivateFederation)), http.StatusOK},
		{"certificate", &pair, nil, http.StatusOK},
		{"header", &ingress, header(pair), http.StatusOK},
		{"stranger", &stranger, nil, http.StatusUnauthorized},
	} {
		b.Run(proof.name, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, server.Prefix+metadata.FederationPath, nil)
			for index := 0; index < len(proof.header); index += 2 {
				request.Header.Add(proof.header[index], proof.header[index+1])
			}
			if proof.connection != nil {
				request.TLS = &tls.ConnectionState{PeerCertificates: certtest.Parsed(*proof.connection)}
			}
			recorder := httptest.NewRecorder()
			if handler.ServeHTTP(recorder, request); recorder.Code != proof.want {
				b.Fatalf("%d %s", recorder.Code, recorder.Body)
			}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{http.Header{}}, request)
			}
		})
	}
}
