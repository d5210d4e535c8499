package checker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// Metrics are what the program counts.
type Metrics struct {
	Registry *prometheus.Registry

	calls    *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics makes them in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alliance_healthcheck_calls_total", Help: "Calls to peers through the mesh, by what came of them.",
		}, []string{"alliance_kind", "name", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alliance_healthcheck_call_duration_seconds", Help: "How long peers took to answer through the mesh.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
	}
	m.Registry.MustRegister(m.calls, m.duration)
	return m
}

func (m *Metrics) noteCall(target healthcheck.Target, found healthcheck.Result, took time.Duration) {
	m.calls.WithLabelValues(target.Kind, target.Name, found.Reason).Inc()
	if found.Answers() {
		m.duration.Observe(took.Seconds())
	}
}
