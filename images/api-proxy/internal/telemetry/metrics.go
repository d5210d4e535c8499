// Package telemetry is the metrics of the proxy.
package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "api_proxy"

// Metrics of the proxy, all registered with Registry. A peer is named by its
// IstioMulticluster resource, so there are few; verbs and resources are those that
// the proxy forwards, or empty.
type Metrics struct {
	Registry *prometheus.Registry

	// Requests counts answered requests, by peer, verb, resource and status code.
	Requests *prometheus.CounterVec
	// Rejected counts rejected requests, by reason.
	Rejected *prometheus.CounterVec
	// Limited counts requests that were rejected because a limit was reached, by peer and what was limited.
	Limited *prometheus.CounterVec
	// InFlight counts the requests in flight other than watches, and Watches those, by peer.
	InFlight, Watches *prometheus.GaugeVec
	// Withdrawn counts requests that ended because the peer lost its permission.
	Withdrawn prometheus.Counter
	// UpstreamSeconds is the time to the API server's first byte, by verb.
	UpstreamSeconds *prometheus.HistogramVec
	// UpstreamErrors counts requests that the API server did not answer, or with 401, by kind.
	UpstreamErrors *prometheus.CounterVec
	// Sent counts bytes of answers, by peer.
	Sent *prometheus.CounterVec
	// Peers counts the clusters that may use the proxy.
	Peers prometheus.Gauge
	// SourceInvalid is 1 while the Secret of accepted peers, or a part of it, cannot be used.
	SourceInvalid prometheus.Gauge
	// Connections counts the open ones, ConnectionsClosed those that were closed because of the limit.
	Connections       prometheus.Gauge
	ConnectionsClosed prometheus.Counter
}

// NewMetrics makes the metrics with a registry of their own. notAfter is when the
// listener's certificate expires.
func NewMetrics(notAfter func() time.Time) *Metrics {
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		Requests: prometheus.NewCounterVec(
			counter("requests_total", "Answered requests; code 499 is a peer that has disconnected."), []string{"peer", "verb", "resource", "code"}),
		Rejected: prometheus.NewCounterVec(
			counter("refused_total", "Rejected requests."), []string{"reason"}),
		Limited: prometheus.NewCounterVec(
			counter("limited_total", "Requests rejected because the peer, or all peers together, have reached a limit."), []string{"peer", "limit"}),
		InFlight: prometheus.NewGaugeVec(
			gauge("requests_in_flight", "Requests in flight, without watches."), []string{"peer"}),
		Watches: prometheus.NewGaugeVec(
			gauge("watches", "Watches held at the moment."), []string{"peer"}),
		Withdrawn: prometheus.NewCounter(
			counter("withdrawn_total", "Requests that ended because the peer lost its permission.")),
		UpstreamSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "upstream_seconds", Help: "Time until the API server began to answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"verb"}),
		UpstreamErrors: prometheus.NewCounterVec(
			counter("upstream_errors_total", "Requests that the API server did not answer, or where it rejected the proxy's own credentials."), []string{"error"}),
		Sent: prometheus.NewCounterVec(
			counter("sent_bytes_total", "Bytes of answers."), []string{"peer"}),
		Peers:         prometheus.NewGauge(gauge("neighbours", "Clusters that may use the proxy.")),
		SourceInvalid: prometheus.NewGauge(gauge("source_invalid", "1 while the Secret of accepted peers, or a part of it, cannot be used.")),
		Connections:   prometheus.NewGauge(gauge("connections", "Open connections of peers.")),
		ConnectionsClosed: prometheus.NewCounter(
			counter("connections_refused_total", "Connections closed because there were too many: new ones, or idle ones to make room for them.")),
	}
	m.Registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.Requests, m.Rejected, m.Limited, m.InFlight, m.Watches, m.Withdrawn, m.UpstreamSeconds, m.UpstreamErrors, m.Sent,
		m.Peers, m.SourceInvalid, m.Connections, m.ConnectionsClosed,
		prometheus.NewGaugeFunc(gauge("certificate_not_after_seconds", "Unix time at which the listener's certificate expires."),
			func() float64 { return float64(notAfter().Unix()) }),
	)
	return m
}
