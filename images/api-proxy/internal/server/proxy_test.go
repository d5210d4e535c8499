package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/server"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

const (
	here     = "uuid-here"
	ownToken = "the-proxys-own-token"
)

// arrived is a request as it reached the API server.
type arrived struct {
	method, target, host string
	header               http.Header
	body                 string
	proto                int
}

// backend is a fake API server that records the requests.
type backend struct {
	*httptest.Server
	// answer handles requests after they were recorded.
	answer http.HandlerFunc

	mu  sync.Mutex
	got []arrived
}

func (b *backend) take() []arrived {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	b.got = append(b.got, arrived{r.Method, r.RequestURI, r.Host, maps.Clone(r.Header), string(body), r.ProtoMajor})
	b.mu.Unlock()
	b.answer(w, r)
}

// proxy is one in front of a backend, with peer B accepted.
type proxy struct {
	address  string
	backend  *backend
	b        peerstest.Peer
	registry *peers.Registry
	metrics  *telemetry.Metrics
	token    string // file
	handler  *server.Handler
	roots    certtest.Authority
	logs     *logtest.Buffer
	stop     func()
}

type setup struct {
	answer                                  http.HandlerFunc
	maxRequests, maxWatches, maxConnections int
	writeTimeout                            time.Duration
	ready                                   func() error
}

func start(tb testing.TB, s setup) *proxy {
	tb.Helper()
	if s.answer == nil {
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"kind":"List","items":[]}`)
		}
	}
	for _, limit := range []*int{&s.maxRequests, &s.maxWatches, &s.maxConnections} {
		if *limit == 0 {
			*limit = 1000
		}
	}
	if s.writeTimeout == 0 {
		s.writeTimeout = server.WriteTimeout
	}
	if s.ready == nil {
		s.ready = func() error { return nil }
	}
	p := &proxy{
		backend: &backend{answer: s.answer}, b: peerstest.NewPeer(tb, "b"),
		registry: peers.NewRegistry(v1alpha1.IstioMulticlusterKind), roots: certtest.NewRoot("public", time.Now()), logs: &logtest.Buffer{},
	}
	p.trust(tb, p.b)
	p.backend.Server = httptest.NewUnstartedServer(p.backend)
	p.backend.EnableHTTP2 = true
	p.backend.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p.backend.StartTLS()
	tb.Cleanup(p.backend.Close)

	dir := tb.TempDir()
	p.token = filepath.Join(dir, "token")
	if err := os.WriteFile(p.token, []byte(ownToken+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := certtest.WritePair(dir, p.roots.Server(time.Now(), "127.0.0.1")); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(p.logs, nil))
	apiServer, err := upstream.New(&rest.Config{
		Host: p.backend.URL, BearerTokenFile: p.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(p.backend.Certificate().Raw)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := tlsfiles.LoadCertificate("TLS certificate", dir, log)
	if err != nil {
		tb.Fatal(err)
	}
	p.metrics = telemetry.NewMetrics(func() time.Time { return certificate.Current().Leaf.NotAfter })
	p.handler = server.NewHandler(server.Options{
		Identifier: callers.Identifier{Registry: p.registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens()},
		Judge:      requests.Judge{Namespace: "d8-istio"}, Upstream: apiServer, Ready: s.ready,
		Peers:       func() int { return p.registry.Current().Len() },
		MaxRequests: s.maxRequests, MaxWatches: s.maxWatches, WriteTimeout: s.writeTimeout, Metrics: p.metrics, Log: log,
	})
	var listen net.ListenConfig
	listener, err := listen.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener, p.handler, certificate, s.maxConnections, log) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve() = %v", err)
		}
	})
	tb.Cleanup(p.stop)
	return p
}

// trust makes those clusters the only peers; their resources exist.
func (p *proxy) trust(tb testing.TB, clusters ...peerstest.Peer) {
	tb.Helper()
	peerstest.Accept(tb, p.registry, peerstest.Entries(v1alpha1.IstioMulticlusterKind, clusters...))
}

func (p *proxy) tlsConfig(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: p.roots.Pool(), MinVersion: tls.VersionTLS12, NextProtos: protocols}
}

// client uses HTTP/2, or HTTP/1.1 only, and decompresses nothing.
func (p *proxy) client(tb testing.TB, http2 bool) *http.Client {
	tb.Helper()
	transport := &http.Transport{TLSClientConfig: p.tlsConfig(), ForceAttemptHTTP2: http2, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// request is one of peer B, with its token.
func (p *proxy) request(tb testing.TB, method, target, body string) *http.Request {
	tb.Helper()
	var reader io.Reader
	if body != "" {
		reader = bytes.NewReader([]byte(body))
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, "https://"+p.address+target, reader)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.b.Token(tb, here, authn.ScopeAPI))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// do sends a request and returns the answer with its body read.
func do(tb testing.TB, client *http.Client, r *http.Request) (*http.Response, string) {
	tb.Helper()
	response, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response, string(body)
}
