package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/peers/peerstest"
	"github.com/deckhouse-mesh/istio/lib/probes"
)

func TestProbesAndMetrics(t *testing.T) {
	metrics := telemetry.NewMetrics()
	metrics.DocumentRevision.WithLabelValues("public/public.json").Set(3)
	var notReady error
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stopped := make(chan error, 1)
	handler := probes.Handler(metrics.Registry, func() error { return notReady })
	go func() { stopped <- probes.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()

	get := func(path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if code, _ := get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz when ready: %d", code)
	}
	notReady = errors.New("waiting for Services")
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "waiting for Services") {
		t.Errorf("/readyz when not ready: %d %s", code, body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz when not ready: %d", code)
	}
	code, body := get("/metrics")
	for _, want := range []string{`metadata_exporter_document_revision{document="public/public.json"} 3`, "go_goroutines", "metadata_exporter_peers 0"} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics (%d) lacks %s", code, want)
		}
	}
	stop()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(peerstest.Deadline):
		t.Fatal("the listener does not stop")
	}
}

func TestAPeerThatIsGoneLeavesNoSeries(t *testing.T) {
	metrics := telemetry.NewMetrics()
	for _, peer := range []string{"gone", "stays"} {
		metrics.PeerConnected.WithLabelValues(peer, "public").Set(1)
		metrics.PeerPolls.WithLabelValues(peer, "public", "answered").Inc()
		metrics.PeerPokes.WithLabelValues(peer, "changed").Inc()
	}
	metrics.ForgetPeer("gone")
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	stays := 0
	for _, family := range families {
		text := family.String()
		if strings.Contains(text, `"gone"`) {
			t.Errorf("still there: %s", text)
		}
		stays += strings.Count(text, `"stays"`)
	}
	if stays != 3 {
		t.Errorf("%d series of the peer that stays", stays)
	}
}
