package watcher_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic/fake"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func newWatcherWithoutKey(peers watcher.Fetcher, client *fake.FakeDynamicClient) *watcher.Watcher {
	return &watcher.Watcher{
		Kind:   watcher.Federations,
		Client: client, Namespace: v1alpha1.Namespace, Peers: peers, Metrics: watcher.NewMetrics(), Log: slog.New(slog.DiscardHandler), Timing: quick(),
		Token: watcher.Signer{Dir: "/nonexistent", ClusterUUID: "uuid-a"}.Token,
	}
}

// TestWatcherAndExporterUnderstandEachOther connects the watcher of cluster A with the
// server of cluster B through the real client, over TLS. Either proof of A's
// identity is enough; the other one is then another cluster's.
func TestWatcherAndExporterUnderstandEachOther(t *testing.T) {
	a := peerstest.NewPeer(t, "a")
	another := peerstest.NewPeer(t, "a")
	for name, proves := range map[string]struct{ token, certificate peerstest.Peer }{
		"by token and certificate": {a, a},
		"by token":                 {a, another},
		"by certificate":           {another, a},
	} {
		t.Run(name, func(t *testing.T) { connectTwo(t, a, proves.token.Keys.Priv, proves.certificate) })
	}
}

func connectTwo(t *testing.T, a peerstest.Peer, tokenKey string, certified peerstest.Peer) {
	t.Helper()
	b := peerstest.NewPeer(t, "b")

	configMap := &corev1.ConfigMap{Data: map[string]string{
		documents.PublicKey: b.PublicJSON(t), documents.IngressGatewaysKey: `[{"address":"10.0.0.1","port":15443}]`,
	}}
	published := documents.NewSet(b.Domain, time.Now)
	update := func(services ...*corev1.Service) {
		t.Helper()
		if _, err := published.Update(configMap, exportertest.Candidates(t, b.Domain, services...)); err != nil {
			t.Fatal(err)
		}
	}
	update()
	registry := peers.NewRegistry(v1alpha1.IstioFederationKind)
	handler := server.NewHandler(server.Options{
		Documents: published, Peers: registry, ClusterUUID: b.UUID,
		Ready: func() error { return nil }, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tlsDir := t.TempDir()
	certificate, key := exportertest.CertificatePEM(t, "b", true)
	writeFile(t, tlsDir, "tls.crt", certificate)
	writeFile(t, tlsDir, "tls.key", key)
	loaded, err := tlsfiles.LoadCertificate("TLS certificate", tlsDir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serving, stopServing := context.WithCancel(context.Background())
	defer stopServing()
	go func() {
		if err := server.Serve(serving, listener, handler, loaded, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	}()

	object := federation(b.UUID, "")
	object.Object["spec"] = map[string]any{
		"trustDomain": b.Domain, "metadataEndpoint": "https://" + listener.Addr().String() + "/metadata",
		"metadata": map[string]any{"ca": certificate},
	}
	authnDir := t.TempDir()
	writeFile(t, authnDir, watcher.PrivateKeyFile, tokenKey)
	clientDir := t.TempDir()
	pair := certified.Root.Client(time.Now())
	writeFile(t, clientDir, "tls.crt", certtest.PEM(pair.Certificate...))
	writeFile(t, clientDir, "tls.key", certtest.KeyPEM(pair.PrivateKey))
	h := &home{t: t, client: newClient("", object), metrics: watcher.NewMetrics(), stopped: make(chan struct{})}
	watch := &watcher.Watcher{
		Kind:   watcher.Federations,
		Client: h.client, Namespace: v1alpha1.Namespace, Metrics: h.metrics, Log: slog.New(slog.DiscardHandler), Timing: quick(),
		Peers: watcher.Presenter{Client: peer.NewClient(), Certificate: tlsfiles.WatchCertificate("client certificate", clientDir, slog.New(slog.DiscardHandler))},
		Token: watcher.Signer{Dir: authnDir, ClusterUUID: a.UUID}.Token,
	}
	watching, stop := context.WithCancel(context.Background())
	h.stop = stop
	t.Cleanup(h.end)
	go func() {
		defer close(h.stopped)
		if err := watch.Run(watching); err != nil {
			t.Error(err)
		}
	}()

	// B does not know A yet: only its public document can be seen.
	alone := h.waitWritten(func(value string) bool { return value != "" && !complete(value) })
	entries := map[string]peers.Entry{a.UUID: a.Entry("IstioFederation")}
	peerstest.Accept(t, registry, entries)
	accepted := h.waitWritten(complete)
	if accepted == alone {
		t.Error("accepting the peer changed nothing")
	}

	web := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
	update(web)
	poked := h.pokedAgain(accepted)

	// The wait for the private document also reports another key of B.
	rotated := peerstest.NewPeer(t, b.Name)
	configMap.Data[documents.PublicKey] = rotated.PublicJSON(t)
	update(web)
	h.pokedAgain(poked)
}

// pokedAgain waits for another value than before and returns it. It waits for less time than a poll is held.
func (h *home) pokedAgain(before string) string {
	h.t.Helper()
	return h.waitWritten(func(now string) bool { return now != before && complete(now) })
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
