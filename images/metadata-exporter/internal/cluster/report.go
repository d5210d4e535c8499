package cluster

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// maxNamedRejections of one namespace are logged and counted one by one.
const maxNamedRejections = 100

// reported remembers what was logged, so that each problem is logged once.
type reported struct {
	problems   map[string]string
	rejections []publicservices.Rejection
	// gateways is why some of them are not published.
	gateways string
}

// problem logs that a source has become unusable, or usable again.
func (r *reported) problem(p *Publisher, source string, err error) {
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
	invalid := p.Metrics.SourceInvalid.WithLabelValues(source)
	switch {
	case err != nil:
		invalid.Set(1)
		p.Log.Error("source cannot be used; its last good value, if there is one, stays in force", "source", source, "error", text)
	case previous != "":
		invalid.Set(0)
		p.Log.Info("source can be used again", "source", source)
	default:
		invalid.Set(0)
	}
}

// report logs and counts the outcome of an update of the documents.
func (p *Publisher) report(outcome documents.Outcome, err error) {
	p.reported.problem(p, "documents", err)

	var missing error
	if outcome.ConfigMapMissing {
		missing = errors.New("the ConfigMap does not exist; the module's Helm release creates it")
	}
	p.reported.problem(p, "ConfigMap "+ConfigMapName, missing)
	if missing == nil {
		for _, key := range []string{documents.PublicKey, documents.IngressGatewaysKey, documents.MulticlusterKey} {
			p.reported.problem(p, key, outcome.Problems[key])
		}
	}
	p.reportGateways(outcome.GatewaysDropped)
	p.reportRejections(outcome.Rejections)
	p.Metrics.PublishedServices.Set(float64(outcome.Services))
	for path, document := range map[string]*documents.Document{
		metadata.PublicPath: &p.Documents.Public, metadata.SPIFFEBundlePath: &p.Documents.SPIFFEBundle,
		metadata.FederationPath: &p.Documents.Federation, metadata.MulticlusterPath: &p.Documents.Multicluster,
	} {
		version, size := 0.0, 0.0
		if current := document.Current(); current != nil {
			version, size = float64(current.Number), float64(len(current.Body))
		}
		p.Metrics.DocumentVersion.WithLabelValues(path).Set(version)
		p.Metrics.DocumentBytes.WithLabelValues(path).Set(size)
	}
	if len(outcome.Changed) > 0 {
		p.Log.Info("documents changed", "documents", outcome.Changed, "services", outcome.Services,
			"ingressGateways", outcome.Gateways, "rejected", len(outcome.Rejections))
	}
}

// reportGateways logs each new reason for leaving gateways out once.
func (p *Publisher) reportGateways(dropped error) {
	text := ""
	if dropped != nil {
		text = dropped.Error()
	}
	if p.reported.gateways == text {
		return
	}
	p.reported.gateways = text
	if text == "" {
		p.Log.Info("all ingress gateways are published again")
		return
	}
	p.Log.Warn("some ingress gateways are not published; the others are", "source", documents.IngressGatewaysKey, "error", text)
}

// reportRejections logs each new rejection, and counts the current ones. Of one
// namespace it names only the first few: a tenant must not fill logs and metrics.
func (p *Publisher) reportRejections(rejections []publicservices.Rejection) {
	named := publicservices.Named(rejections, maxNamedRejections)
	if slices.Equal(p.reported.rejections, named) {
		return
	}
	known := sets.New(p.reported.rejections...)
	p.Metrics.RejectedServices.Reset()
	for _, rejection := range named {
		p.Metrics.RejectedServices.With(prometheus.Labels{
			"namespace": rejection.Namespace, "service": rejection.Name, "reason": rejection.Reason,
		}).Set(1)
		if !known.Has(rejection) {
			p.Log.Warn(rejection.String(), "namespace", rejection.Namespace, "service", rejection.Name, "reason", rejection.Reason)
		}
	}
	p.reported.rejections = named
}
