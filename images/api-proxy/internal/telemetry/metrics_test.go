package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
)

func TestTheMetricsAreRegistered(t *testing.T) {
	metrics := telemetry.NewMetrics(func() time.Time { return time.Unix(1234567890, 0) })
	metrics.Rejected.WithLabelValues("path").Inc()
	response := httptest.NewRecorder()
	promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`api_proxy_refused_total{reason="path"} 1`, "api_proxy_neighbours 0", "api_proxy_connections_refused_total 0", "go_goroutines",
		"api_proxy_certificate_not_after_seconds 1.23456789e+09",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
