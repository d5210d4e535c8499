// Package cluster feeds the proxy from this cluster's API server: the Secret of
// accepted peers and the IstioMulticlusters that exist become the neighbours.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/presence"
)

// SecretName is the Secret that says who the neighbours are.
const SecretName = "d8-remote-clusters-public-metadata"

// Feed keeps Neighbours as the Secret and the resources have them. While the API
// server is away, everyone stays as they were; when the Secret is deleted, no one is left.
type Feed struct {
	Client kubernetes.Interface
	// Resources is a client for the metadata of IstioMulticlusters: who was accepted
	// for one may pass while it exists.
	Resources  metadata.Interface
	Namespace  string
	Neighbours *callers.Registry
	Metrics    *telemetry.Metrics
	Log        *slog.Logger

	fed      atomic.Bool
	problem  string
	listFail atomic.Pointer[string]
	// existing is set before anything else is known.
	existing atomic.Pointer[presence.Watch]
}

// Ready returns nil once the Secret was looked for and the resources were listed.
func (f *Feed) Ready() error {
	if f.fed.Load() {
		return nil
	}
	if existing := f.existing.Load(); existing != nil {
		if err := existing.Ready(); err != nil {
			return err
		}
	}
	if reason := f.listFail.Load(); reason != nil {
		return fmt.Errorf("waiting for the Secret %s/%s from the API server: %s", f.Namespace, SecretName, *reason)
	}
	return fmt.Errorf("waiting for the Secret %s/%s from the API server", f.Namespace, SecretName)
}

// Run feeds until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	// The field selector is what lets a Role with resourceNames allow the list and the watch.
	informer := coreinformers.NewFilteredSecretInformer(f.Client, f.Namespace, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, SecretName).String()
	})
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			reason := err.Error()
			f.listFail.Store(&reason)
			f.Log.Warn("list or watch failed; what is known stays, retrying", "resource", "Secret "+SecretName, "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("prepare to watch the Secret %s/%s: %w", f.Namespace, SecretName, err)
	}
	dirty := make(chan struct{}, 1)
	changed := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	if _, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}); err != nil {
		return fmt.Errorf("prepare to watch the Secret %s/%s: %w", f.Namespace, SecretName, err)
	}
	existing, err := presence.NewWatch(f.Resources, []string{v1alpha1.IstioMulticlusterKind}, f.Log, changed)
	if err != nil {
		return err
	}
	f.existing.Store(existing)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { informer.RunWithContext(ctx) })
	running.Go(func() { existing.Run(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced, existing.Synced) {
		return nil
	}
	for {
		f.feed(informer.GetStore(), existing.Resources())
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		}
	}
}

func (f *Feed) feed(store cache.Store, existing presence.Resources) {
	changed := f.Neighbours.SetResources(existing)
	object, _, _ := store.GetByKey(f.Namespace + "/" + SecretName)
	secret, _ := object.(*corev1.Secret)
	var (
		problem error
		content []byte
		present = true
	)
	if secret != nil {
		content, present = secret.Data[callers.SecretKey]
	}
	if present {
		var others bool
		others, problem = f.Neighbours.Set(content)
		changed = changed || others
	} else {
		problem = errors.New("it has no key " + callers.SecretKey + "; neighbours stay as they were")
	}
	f.report(problem)
	count := f.Neighbours.Len()
	if changed {
		f.Log.Info("neighbours changed", "count", count, "resourceGone", f.Neighbours.Departed())
	}
	f.Metrics.Neighbours.Set(float64(count))
	f.fed.Store(true)
}

// report says each problem once, and once that it is over.
func (f *Feed) report(problem error) {
	text, invalid := "", 0.0
	if problem != nil {
		text, invalid = problem.Error(), 1
	}
	f.Metrics.SourceInvalid.Set(invalid)
	if text == f.problem {
		return
	}
	f.problem = text
	if text == "" {
		f.Log.Info("the Secret of neighbours can be used again", "secret", SecretName)
		return
	}
	f.Log.Error("the Secret of neighbours cannot be used in full", "secret", SecretName, "error", text)
}
