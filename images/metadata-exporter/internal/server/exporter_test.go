package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// exporter is a server on a loopback port, with one federation and one multicluster peer.
type exporter struct {
	handler                                 *server.Handler
	t                                       testing.TB
	own, federated, multicluster, unrelated peerstest.Peer
	documents                               *documents.Set
	peers                                   *peers.Registry
	metrics                                 *telemetry.Metrics
	url                                     string
	client                                  *http.Client
	tlsDir                                  string
	certificate                             string
	// ingress issues the certificate of the ingress controller.
	ingress   certtest.Authority
	noIngress bool
	stop      context.CancelFunc
	stopped   chan error
	notReady  error
	services  []*corev1.Service
	configMap *corev1.ConfigMap
}

// start runs an exporter that has all its documents, unless prepare says otherwise.
func start(tb testing.TB, prepare ...func(*exporter)) *exporter {
	tb.Helper()
	e := &exporter{
		t:            tb,
		own:          peerstest.NewPeer(tb, "own"),
		federated:    peerstest.NewPeer(tb, "federated"),
		multicluster: peerstest.NewPeer(tb, "multicluster"),
		unrelated:    peerstest.NewPeer(tb, "unrelated"),
		peers:        peers.NewRegistry(v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind),
		metrics:      telemetry.NewMetrics(),
		tlsDir:       tb.TempDir(),
		ingress:      certtest.NewRoot("metadata-exporter-ingress", time.Now()),
		stopped:      make(chan error, 1),
	}
	e.documents = documents.NewSet(e.own.Domain, time.Now)
	e.configMap = &corev1.ConfigMap{Data: map[string]string{
		documents.PublicKey:          e.own.PublicJSON(tb),
		documents.IngressGatewaysKey: `[{"address":"10.0.0.1","port":15443}]`,
		documents.MulticlusterKey:    `{"apiHost":"api.example.com","networkName":"own"}`,
	}}
	e.setPeers(map[string]peers.Entry{
		e.federated.UUID: e.federated.Entry("IstioFederation"), e.multicluster.UUID: e.multicluster.Entry("IstioMulticluster"),
	})
	for _, change := range prepare {
		change(e)
	}
	if e.notReady == nil {
		e.update()
	}

	certificate, key := exportertest.CertificatePEM(tb, "exporter", false)
	e.writeCertificate(certificate, key)
	loaded, err := tlsfiles.LoadCertificate("TLS certificate", e.tlsDir, slog.New(slog.DiscardHandler))
	e.check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	e.check(err)
	e.url = "https://" + listener.Addr().String() + "/metadata/"
	e.handler = server.NewHandler(server.Options{
		Documents: e.documents, Peers: e.peers, ClusterUUID: e.own.UUID,
		IngressClients: e.ingressClients(),
		Ready:          func() error { return e.notReady }, Metrics: e.metrics, Log: slog.New(slog.DiscardHandler),
	})
	e.trust(certificate)

	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() { e.stopped <- server.Serve(ctx, listener, e.handler, loaded, slog.New(slog.DiscardHandler)) }()
	tb.Cleanup(cancel)
	return e
}

func (e *exporter) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *exporter) writeCertificate(certificate, key string) {
	e.t.Helper()
	e.check(os.WriteFile(filepath.Join(e.tlsDir, "tls.crt"), []byte(certificate), 0o600))
	e.check(os.WriteFile(filepath.Join(e.tlsDir, "tls.key"), []byte(key), 0o600))
}

func (e *exporter) ingressClients() *tlsfiles.Roots {
	e.t.Helper()
	if e.noIngress {
		return nil
	}
	file := filepath.Join(e.t.TempDir(), "ca.crt")
	e.check(os.WriteFile(file, []byte(e.ingress.PEM()), 0o600))
	return tlsfiles.WatchRoots("ingress clients", file, slog.New(slog.DiscardHandler))
}

// trust makes a client that trusts this certificate and no other.
func (e *exporter) trust(certificate string) {
	e.certificate = certificate
	e.client = e.clientWith(nil)
}

// clientWith makes a client that shows this certificate, if any.
func (e *exporter) clientWith(certificate *tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(e.certificate))
	config := &tls.Config{RootCAs: roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	e.t.Cleanup(client.CloseIdleConnections)
	return client
}

// as is the exporter asked by a caller with this client certificate.
func (e *exporter) as(certificate *tls.Certificate) *exporter {
	caller := *e
	caller.client = e.clientWith(certificate)
	return &caller
}

func (e *exporter) update() {
	e.t.Helper()
	_, err := e.documents.Update(e.configMap, exportertest.Candidates(e.t, e.own.Domain, e.services...))
	e.check(err)
}

// setPeers accepts those clusters, whose resources exist, and no others.
func (e *exporter) setPeers(entries map[string]peers.Entry) {
	e.t.Helper()
	peerstest.Accept(e.t, e.peers, entries)
}

// publish adds a Service to the federation document.
func (e *exporter) publish(name string) {
	e.t.Helper()
	e.services = append(e.services, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	})
	e.update()
}

// answer is the outcome of a request.
type answer struct {
	code   int
	header http.Header
	body   string
	took   time.Duration
	proto  string
}

// ask sends a request; header holds alternating names and values.
func (e *exporter) ask(method, path string, header ...string) answer {
	e.t.Helper()
	got, err := e.try(method, path, header...)
	e.check(err)
	return got
}

func (e *exporter) try(method, path string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*peerstest.Deadline)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, e.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	for index := 0; index < len(header); index += 2 {
		request.Header.Add(header[index], header[index+1])
	}
	began := time.Now()
	response, err := e.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), time.Since(began), response.Proto}, err
}

// hold starts a request and returns once the exporter holds waiters requests for path.
func (e *exporter) hold(waiters int, path string, header ...string) <-chan answer {
	e.t.Helper()
	answers := make(chan answer, 1)
	go func() {
		got, err := e.try(http.MethodGet, path, header...)
		if err != nil {
			got.body = err.Error()
		}
		answers <- got
	}()
	peerstest.Await(e.t, func() string {
		if got := testutil.ToFloat64(e.metrics.Held.WithLabelValues(path)); got != float64(waiters) {
			return "the request is not held"
		}
		return ""
	})
	select {
	case got := <-answers:
		e.t.Fatalf("answered instead of held: %+v", got)
	default:
	}
	return answers
}

func (e *exporter) receive(answers <-chan answer) answer {
	e.t.Helper()
	select {
	case got := <-answers:
		return got
	case <-time.After(peerstest.Deadline):
		e.t.Fatal("a held request got no answer")
		return answer{}
	}
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

var errNotSynced = errors.New("not synced")
