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

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/probes"
)

func TestProbesAndMetrics(t *testing.T) {
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewMetrics(func() time.Time { return time.Unix(1234567890, 0) })
	metrics.Refused.WithLabelValues("path").Inc()
	ready := errors.New("waiting for the Secret")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- probes.Serve(ctx, listener, probes.Handler(metrics.Registry, func() error { return ready }), slog.New(slog.DiscardHandler))
	}()
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/healthz": {http.StatusOK, "ok"},
		"/readyz":  {http.StatusServiceUnavailable, "waiting for the Secret"},
		"/metrics": {http.StatusOK, `api_proxy_refused_total{reason="path"} 1`},
		"/":        {http.StatusNotFound, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want.code || !strings.Contains(string(body), want.text) {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
		if path == "/metrics" && !strings.Contains(string(body), "api_proxy_certificate_not_after_seconds 1.23456789e+09") {
			t.Errorf("the certificate's expiry is missing:\n%s", body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve() = %v", err)
	}
}
