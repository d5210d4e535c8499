package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
)

func TestTheMetricsAreRegistered(t *testing.T) {
	metrics := telemetry.NewMetrics()
	metrics.DocumentVersion.WithLabelValues("public/public.json").Set(3)
	metrics.Held.WithLabelValues("public/public.json").Set(2)
	response := httptest.NewRecorder()
	promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`metadata_exporter_document_revision{document="public/public.json"} 3`, `metadata_exporter_waiters{path="public/public.json"} 2`,
		"go_goroutines", "metadata_exporter_neighbours 0",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
