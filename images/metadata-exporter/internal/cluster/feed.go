// Package cluster feeds the exporter from this cluster's API server: published
// Services and the ConfigMap become documents, the Secret of accepted peers and
// the resources that exist become the neighbours.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/presence"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

const (
	// ConfigMapName is the ConfigMap that says what this cluster is.
	ConfigMapName = "metadata-exporter"
	// SecretName is the Secret that says who its neighbours are.
	SecretName = "d8-remote-clusters-public-metadata"

	// settleTime gathers the events of one burst into one revision.
	settleTime = 3 * time.Millisecond
)

// Feed keeps Documents and Neighbours as the API server has them.
type Feed struct {
	API API
	// Resources is a client for the metadata of the resources of Kinds: clusters
	// that were accepted for them are neighbours while they exist.
	Resources metadata.Interface
	Kinds     []string
	// Namespace of the exporter and its objects.
	Namespace string
	// ClusterDomain ends the hostnames of published Services.
	ClusterDomain string

	Documents  *documents.Set
	Neighbours *neighbours.Registry
	Metrics    *telemetry.Metrics
	Log        *slog.Logger

	fed        atomic.Bool
	reported   reported
	identities *identities
	// judged is the Secret that the neighbours are made of.
	judged *corev1.Secret
}

// source is one informer, its name in messages, and what its events do.
type source struct {
	name string
	cache.SharedIndexInformer
	strip   cache.TransformFunc
	handler cache.ResourceEventHandler
}

// Ready returns nil once everything was listed and turned into documents.
func (f *Feed) Ready() error {
	if !f.fed.Load() {
		return errors.New("waiting for the first list of Services, their endpoints, ConfigMap, Secret and the resources that join neighbours from the API server")
	}
	return nil
}

// Run feeds until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	dirty := make(chan struct{}, 1)
	changed := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	podInformer := newPodInformer(f.API)
	f.identities = newIdentities(podInformer.GetStore())
	f.Documents.ServiceAccountsOf = f.identities.of
	services := source{"Services", newServiceInformer(f.API), stripService(f.ClusterDomain), every(changed)}
	configMap := source{"ConfigMap " + f.Namespace + "/" + ConfigMapName, newConfigMapInformer(f.API), stripWhole, every(changed)}
	secret := source{"Secret " + f.Namespace + "/" + SecretName, newSecretInformer(f.API), stripWhole, every(changed)}
	endpointSlices := source{"EndpointSlices", newEndpointSliceInformer(f.API), stripEndpointSlice, f.identities.endpointSliceEvents(changed)}
	pods := source{"Pods", podInformer, stripPod, f.identities.podEvents(changed)}

	resources, err := presence.NewWatch(f.Resources, f.Kinds, f.Log, changed)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	synced := []cache.InformerSynced{resources.Synced}
	for _, each := range []source{services, configMap, secret, endpointSlices, pods} {
		hasSynced, err := prepare(each.SharedIndexInformer, each.name, each.strip, f.Log, each.handler)
		if err != nil {
			return fmt.Errorf("prepare to watch %s: %w", each.name, err)
		}
		running.Go(func() { each.RunWithContext(ctx) })
		synced = append(synced, hasSynced)
	}
	running.Go(func() { resources.Run(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	for {
		f.feedNeighbours(f.secret(secret.GetStore()), resources.Resources())
		f.feedDocuments(services.GetStore(), configMap.GetStore())
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleTime):
		}
		select {
		case <-dirty:
		default:
		}
	}
}

// feedDocuments turns what the caches hold now into documents.
func (f *Feed) feedDocuments(services, configMaps cache.Store) {
	list := services.List()
	candidates := make([]*publicservices.Candidate, 0, len(list))
	for _, object := range list {
		if service, ok := object.(*service); ok {
			candidates = append(candidates, service.Candidate)
		}
	}
	outcome, err := f.Documents.Update(f.configMap(configMaps), candidates)
	f.identities.forgetOthers(candidates)
	f.report(outcome, err)
	f.fed.Store(true)
}

// feedNeighbours takes over the resources that exist, and who is accepted.
func (f *Feed) feedNeighbours(secret *corev1.Secret, existing presence.Resources) {
	changed := f.Neighbours.SetResources(existing)
	if f.judge(secret) || changed {
		f.Log.Info("neighbours changed", "count", f.Neighbours.Len(), "resourceGone", f.Neighbours.Departed())
	}
	f.Metrics.Neighbours.Set(float64(f.Neighbours.Len()))
}

// judge takes over who is accepted from a Secret, once: informers never change an
// object, and reading the keys and roots of hundreds of neighbours for each
// change of a Service would cost as much as the document.
func (f *Feed) judge(secret *corev1.Secret) (changed bool) {
	if f.fed.Load() && secret == f.judged {
		return false
	}
	f.judged = secret
	var (
		content []byte
		present = true
	)
	if secret != nil {
		content, present = secret.Data[neighbours.SecretKey]
	}
	if !present {
		f.reported.problem(f, "Secret "+SecretName, fmt.Errorf("the Secret has no key %s; neighbours stay as they were", neighbours.SecretKey))
		return false
	}
	changed, err := f.Neighbours.Set(content)
	f.reported.problem(f, "Secret "+SecretName, err)
	return changed
}

func (f *Feed) configMap(store cache.Store) *corev1.ConfigMap {
	object, _, _ := store.GetByKey(f.Namespace + "/" + ConfigMapName)
	configMap, _ := object.(*corev1.ConfigMap)
	return configMap
}

func (f *Feed) secret(store cache.Store) *corev1.Secret {
	object, _, _ := store.GetByKey(f.Namespace + "/" + SecretName)
	secret, _ := object.(*corev1.Secret)
	return secret
}
