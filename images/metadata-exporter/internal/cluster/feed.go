// Package cluster feeds the exporter from this cluster's API server: published
// Services and the ConfigMap become documents, the Secret of accepted peers
// becomes the neighbours.
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
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
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
	Client     kubernetes.Interface
	Namespace  string
	Documents  *documents.Set
	Neighbours *neighbours.Registry
	Metrics    *telemetry.Metrics
	Log        *slog.Logger

	fed        atomic.Bool
	reported   reported
	identities *identities
}

// source is one informer, its name in messages, and what its events do.
type source struct {
	name string
	cache.SharedIndexInformer
	handler cache.ResourceEventHandler
}

// Ready returns nil once everything was listed and turned into documents.
func (f *Feed) Ready() error {
	if !f.fed.Load() {
		return errors.New("waiting for the first list of Services, their endpoints, ConfigMap and Secret from the API server")
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
	services := source{"Services", newServiceInformer(f.Client), every(changed)}
	configMap := source{"ConfigMap " + f.Namespace + "/" + ConfigMapName, newConfigMapInformer(f.Client, f.Namespace), every(changed)}
	secret := source{"Secret " + f.Namespace + "/" + SecretName, newSecretInformer(f.Client, f.Namespace), every(changed)}
	endpointSliceInformer, podInformer := newEndpointSliceInformer(f.Client), newPodInformer(f.Client)
	f.identities = newIdentities(endpointSliceInformer.GetIndexer(), podInformer.GetStore())
	f.Documents.ServiceAccountsOf = f.identities.of
	endpointSlices := source{"EndpointSlices", endpointSliceInformer, f.identities.endpointSliceEvents(changed)}
	pods := source{"Pods", podInformer, f.identities.podEvents(changed)}

	var running sync.WaitGroup
	defer running.Wait()
	synced := []cache.InformerSynced{}
	for _, each := range []source{services, configMap, secret, endpointSlices, pods} {
		if err := prepare(each.SharedIndexInformer, each.name, f.Log, each.handler); err != nil {
			return fmt.Errorf("prepare to watch %s: %w", each.name, err)
		}
		running.Go(func() { each.RunWithContext(ctx) })
		synced = append(synced, each.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	for {
		f.feed(services.GetStore(), configMap.GetStore(), secret.GetStore())
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

// feed turns what the caches hold now into documents and neighbours.
func (f *Feed) feed(services, configMaps, secrets cache.Store) {
	f.feedNeighbours(f.secret(secrets))

	list := services.List()
	published := make([]*corev1.Service, 0, len(list))
	for _, object := range list {
		if service, ok := object.(*corev1.Service); ok {
			published = append(published, service)
		}
	}
	outcome, err := f.Documents.Update(f.configMap(configMaps), published)
	f.identities.forgetOthers(published)
	f.report(outcome, err)
	f.fed.Store(true)
}

func (f *Feed) feedNeighbours(secret *corev1.Secret) {
	var (
		content []byte
		present = true
	)
	if secret != nil {
		content, present = secret.Data[neighbours.SecretKey]
	}
	if !present {
		f.reported.problem(f, "Secret "+SecretName, fmt.Errorf("the Secret has no key %s; neighbours stay as they were", neighbours.SecretKey))
		return
	}
	changed, err := f.Neighbours.Set(content)
	f.reported.problem(f, "Secret "+SecretName, err)
	if changed {
		f.Log.Info("neighbours changed", "count", f.Neighbours.Len())
	}
	f.Metrics.Neighbours.Set(float64(f.Neighbours.Len()))
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
