// Package cluster reads this cluster's API server for the exporter: published
// Services, with the identities behind them, and the ConfigMap become documents.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

const (
	// ConfigMapName is the ConfigMap that describes this cluster.
	ConfigMapName = "metadata-exporter"

	// settleTime lets the events of one burst become one version of a document.
	settleTime = 3 * time.Millisecond
)

// Publisher keeps Documents as the API server has them.
type Publisher struct {
	API API
	// Namespace of the exporter and its objects.
	Namespace string
	// ClusterDomain ends the hostnames of published Services.
	ClusterDomain string

	Documents *documents.Set
	Metrics   *telemetry.Metrics
	Log       *slog.Logger

	published  atomic.Bool
	reported   reported
	identities *identities
	changed    informer.Signal

	services, configMap, endpointSlices, pods *informer.Informer
}

// Ready returns nil once everything was listed and turned into documents.
func (p *Publisher) Ready() error {
	if !p.published.Load() {
		return errors.New("waiting for the first list of Services, their endpoints and the ConfigMap from the API server")
	}
	return nil
}

// Run publishes until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	p.changed = informer.NewSignal()
	if err := p.makeInformers(); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	if !informer.Start(ctx, &running, p.services, p.configMap, p.endpointSlices, p.pods) {
		return nil
	}
	pace := documents.NewPace()
	for {
		if !pace.Wait(ctx, p.publish()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleTime):
		}
		select {
		case <-p.changed:
		default:
		}
	}
}

func (p *Publisher) makeInformers() (err error) {
	p.identities = newIdentities()
	p.Documents.ServiceAccountsOf = p.identities.of
	onEvery := informer.OnEvery(p.changed.Set)
	if p.services, err = informer.New(informer.Source[*corev1.ServiceList]{
		Reader: p.API.Services, Example: &corev1.Service{}, Name: "Services",
		Select: informer.Labelled(v1alpha1.PublicServiceLabel), Strip: stripService(p.ClusterDomain),
	}, p.Log, onEvery); err != nil {
		return err
	}
	if p.configMap, err = informer.New(informer.Source[*corev1.ConfigMapList]{
		Reader: p.API.ConfigMaps, Example: &corev1.ConfigMap{}, Name: "ConfigMap " + p.Namespace + "/" + ConfigMapName,
		Select: informer.Named(ConfigMapName), Strip: informer.StripMetadata,
	}, p.Log, onEvery); err != nil {
		return err
	}
	// Kubernetes copies a Service's labels to its EndpointSlices.
	if p.endpointSlices, err = informer.New(informer.Source[*discoveryv1.EndpointSliceList]{
		Reader: p.API.EndpointSlices, Example: &discoveryv1.EndpointSlice{}, Name: "EndpointSlices",
		Select: informer.Labelled(v1alpha1.PublicServiceLabel), Strip: stripEndpointSlice,
	}, p.Log, p.identities.endpointSliceEvents(p.changed.Set)); err != nil {
		return err
	}
	if p.pods, err = informer.New(informer.Source[*corev1.PodList]{
		Reader: p.API.Pods, Example: &corev1.Pod{}, Name: "Pods",
		Select: informer.Labelled(inMesh), Strip: stripPod,
	}, p.Log, p.identities.podEvents(p.changed.Set)); err != nil {
		return err
	}
	p.identities.pods = p.pods.GetStore()
	return nil
}

// publish turns the content of the caches into documents, and returns how many bytes a
// new version of the federation document has; the others are small.
func (p *Publisher) publish() (bytes int) {
	list := p.services.GetStore().List()
	candidates := make([]*publicservices.Candidate, 0, len(list))
	for _, object := range list {
		if service, ok := object.(*service); ok {
			candidates = append(candidates, service.Candidate)
		}
	}
	object, _, _ := p.configMap.GetStore().GetByKey(p.Namespace + "/" + ConfigMapName)
	configMap, _ := object.(*corev1.ConfigMap)
	outcome, err := p.Documents.Update(configMap, candidates)
	p.identities.forgetOthers(candidates)
	p.report(outcome, err)
	p.published.Store(true)
	if slices.Contains(outcome.Changed, metadata.FederationPath) {
		bytes = len(p.Documents.Federation.Current().Body)
	}
	return bytes
}
