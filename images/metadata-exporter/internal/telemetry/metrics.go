// Package telemetry is the metrics of the exporter.
package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics of the exporter, all registered with Registry.
type Metrics struct {
	Registry *prometheus.Registry

	// DocumentVersion counts the versions since the start, by document; 0 means it is not served.
	DocumentVersion *prometheus.GaugeVec
	// DocumentBytes is the size of the current version, by document.
	DocumentBytes *prometheus.GaugeVec
	// PublishedServices counts the Services in the federation document.
	PublishedServices prometheus.Gauge
	// RejectedServices is 1 for each labelled Service that is not published in full, by namespace, service and reason.
	RejectedServices *prometheus.GaugeVec
	// SourceInvalid is 1 while the last good value of a source is used instead of its present one, by source.
	SourceInvalid *prometheus.GaugeVec
	// Peers counts the clusters that may read private documents.
	Peers prometheus.Gauge

	// Requests counts answers by path and status code; 499 is a caller that has disconnected.
	Requests *prometheus.CounterVec
	// Held counts the requests held at the moment, by path.
	Held *prometheus.GaugeVec
	// AuthenticationFailures counts 401 answers, by path and reason.
	AuthenticationFailures *prometheus.CounterVec

	// Connections counts the open ones, ConnectionsClosed those that were closed because of a limit.
	Connections       prometheus.Gauge
	ConnectionsClosed prometheus.Counter
}

// NewMetrics makes the metrics with a registry of their own.
func NewMetrics() *Metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "metadata_exporter", Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "metadata_exporter", Name: name, Help: help}, labels)
	}
	single := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "metadata_exporter", Name: name, Help: help})
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),

		DocumentVersion:   gauge("document_revision", "Versions of the document since the start; 0 when it is not served.", "document"),
		DocumentBytes:     gauge("document_bytes", "Size of the document.", "document"),
		PublishedServices: single("published_services", "Services that peers may use."),
		RejectedServices:  gauge("rejected_services", "1 for a labelled Service that is not published, or not all of its ports.", "namespace", "service", "reason"),
		SourceInvalid:     gauge("source_invalid", "1 while a source cannot be used and its last good value is served.", "source"),
		Peers:             single("neighbours", "Clusters that may read private documents."),

		Requests:               counter("requests_total", "Answered requests; code 499 is a caller that has disconnected.", "path", "code"),
		Held:                   gauge("waiters", "Requests held until a document changes.", "path"),
		AuthenticationFailures: counter("authentication_failures_total", "Requests answered with 401.", "path", "reason"),

		Connections: single("connections", "Open connections of callers."),
		ConnectionsClosed: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "metadata_exporter", Name: "connections_refused_total",
			Help: "Connections closed because there were too many: new ones, or unused ones to make room for them."}),
	}
	m.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.DocumentVersion, m.DocumentBytes, m.PublishedServices, m.RejectedServices, m.SourceInvalid, m.Peers,
		m.Requests, m.Held, m.AuthenticationFailures, m.Connections, m.ConnectionsClosed,
	)
	return m
}
