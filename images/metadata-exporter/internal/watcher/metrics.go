package watcher

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metricsNamespace begins the names of the watcher's metrics, as it did when the
// exporter watched peers: dashboards and alerts know them by it.
const metricsNamespace = "metadata_exporter"

// Metrics of the watcher, all registered with Registry.
type Metrics struct {
	Registry *prometheus.Registry

	// PeerConnected is 1 while the last poll of a peer's document was answered, by peer and document. A
	// document that is not polled at the moment has no series.
	PeerConnected *prometheus.GaugeVec
	// PeerPolls counts polls, by peer, document and result.
	PeerPolls *prometheus.CounterVec
	// PeerPokes counts the values written for the discovery hook, by peer and cause.
	PeerPokes *prometheus.CounterVec
}

// NewMetrics makes the metrics with a registry of their own.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		PeerConnected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: "peer_connected",
			Help: "1 while the last poll of the peer's document was answered. The public one is polled only while the private one cannot be fetched."},
			[]string{"peer", "document"}),
		PeerPolls: counter("peer_polls_total", "Polls of a peer's document by result.", "peer", "document", "result"),
		PeerPokes: counter("peer_pokes_total", "Values written to notify the discovery hook.", "peer", "cause"),
	}
	m.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.PeerConnected, m.PeerPolls, m.PeerPokes,
	)
	return m
}

// forgetPeer drops the series of a peer whose resource was deleted.
func (m *Metrics) forgetPeer(name string) {
	of := prometheus.Labels{"peer": name}
	m.PeerConnected.DeletePartialMatch(of)
	m.PeerPolls.DeletePartialMatch(of)
	m.PeerPokes.DeletePartialMatch(of)
}
