package cluster

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// maxNamedRejections of one namespace are logged and counted one by one.
const maxNamedRejections = 100

// reported remembers what was said, so that each thing is said once.
type reported struct {
	problems   map[string]string
	rejections []publicservices.Rejection
	// gateways is why some of them are not published.
	gateways string
}

// problem logs that a source has become unusable, or usable again.
func (r *reported) problem(f *Feed, source string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if r.problems == nil {
		r.problems = map[string]string{}
	}
	previous, known := r.problems[source]
	if known && previous == text {
		return
	}
	r.problems[source] = text
	invalid := f.Metrics.SourceInvalid.WithLabelValues(source)
	switch {
	case err != nil:
		invalid.Set(1)
		f.Log.Error("source cannot be used; its last good value, if there was one, stays in force", "source", source, "error", text)
	case previous != "":
		invalid.Set(0)
		f.Log.Info("source can be used again", "source", source)
	default:
		invalid.Set(0)
	}
}

// report logs and counts what an update of the documents came to.
func (f *Feed) report(outcome documents.Outcome, err error) {
	f.reported.problem(f, "documents", err)

	var missing error
	if outcome.ConfigMapMissing {
		missing = errors.New("the ConfigMap does not exist; the module's Helm release creates it")
	}
	f.reported.problem(f, "ConfigMap "+ConfigMapName, missing)
	if missing == nil {
		for _, key := range []string{documents.PublicKey, documents.IngressGatewaysKey, documents.MulticlusterKey} {
			f.reported.problem(f, key, outcome.Problems[key])
		}
	}
	f.reportGateways(outcome.GatewaysDropped)
	f.reportRejections(outcome.Rejections)
	f.Metrics.PublishedServices.Set(float64(outcome.Services))
	for path, document := range map[string]*documents.Document{
		metadata.PublicPath: &f.Documents.Public, metadata.SPIFFEBundlePath: &f.Documents.SPIFFEBundle,
		metadata.FederationPath: &f.Documents.Federation, metadata.MulticlusterPath: &f.Documents.Multicluster,
	} {
		number, size := 0.0, 0.0
		if revision := document.Current(); revision != nil {
			number, size = float64(revision.Number), float64(len(revision.Body))
		}
		f.Metrics.DocumentRevision.WithLabelValues(path).Set(number)
		f.Metrics.DocumentBytes.WithLabelValues(path).Set(size)
	}
	if len(outcome.Changed) > 0 {
		f.Log.Info("documents changed", "documents", outcome.Changed, "services", outcome.Services,
			"ingressGateways", outcome.Gateways, "rejected", len(outcome.Rejections))
	}
}

// reportGateways logs each new reason for leaving gateways out once.
func (f *Feed) reportGateways(dropped error) {
	text := ""
	if dropped != nil {
		text = dropped.Error()
	}
	if f.reported.gateways == text {
		return
	}
	f.reported.gateways = text
	if text == "" {
		f.Log.Info("all ingress gateways are published again")
		return
	}
	f.Log.Warn("some ingress gateways are not published; the others are", "source", documents.IngressGatewaysKey, "error", text)
}

// reportRejections logs each new one, and counts those of now. Of one namespace
// the first few are named: a tenant must not fill logs and metrics.
func (f *Feed) reportRejections(rejections []publicservices.Rejection) {
	named := publicservices.Named(rejections, maxNamedRejections)
	if slices.Equal(f.reported.rejections, named) {
		return
	}
	known := make(map[publicservices.Rejection]bool, len(f.reported.rejections))
	for _, rejection := range f.reported.rejections {
		known[rejection] = true
	}
	f.Metrics.RejectedServices.Reset()
	for _, rejection := range named {
		f.Metrics.RejectedServices.With(prometheus.Labels{
			"namespace": rejection.Namespace, "service": rejection.Name, "reason": rejection.Reason,
		}).Set(1)
		if !known[rejection] {
			f.Log.Warn(rejection.String(), "namespace", rejection.Namespace, "service", rejection.Name, "reason", rejection.Reason)
		}
	}
	f.reported.rejections = named
}
