package cluster

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// newServiceInformer watches the labelled Services of all namespaces.
func newServiceInformer(api API) cache.SharedIndexInformer {
	return newInformer(api.Services, &corev1.Service{}, func(options *metav1.ListOptions) {
		options.LabelSelector = v1alpha1.PublicServiceLabel
	})
}

// newConfigMapInformer and newSecretInformer watch one object each. The field
// selector is what lets a Role with resourceNames allow the list and the watch.
func newConfigMapInformer(api API) cache.SharedIndexInformer {
	return newInformer(api.ConfigMaps, &corev1.ConfigMap{}, only(ConfigMapName))
}

func newSecretInformer(api API) cache.SharedIndexInformer {
	return newInformer(api.Secrets, &corev1.Secret{}, only(SecretName))
}

func only(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

// newInformer watches what options narrow the reader's objects down to. Where
// the API server can stream the first list it is asked to, so that ten thousand
// objects are stripped one by one and never there whole.
func newInformer[L runtime.Object](reader Reader[L], example runtime.Object, narrow func(*metav1.ListOptions)) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			narrow(&options)
			return reader.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			narrow(&options)
			return reader.Watch(ctx, options)
		},
	}, reader), example, 0, cache.Indexers{})
}

// every calls changed for every event.
func every(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
}

// prepare makes an informer keep little, report its failures and tell handler of
// its events. The returned function is true once handler was told of the first list.
func prepare(informer cache.SharedIndexInformer, resource string, strip cache.TransformFunc, log *slog.Logger, handler cache.ResourceEventHandler) (cache.InformerSynced, error) {
	if err := informer.SetTransform(strip); err != nil {
		return nil, err
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			log.Warn("list or watch failed; what is known stays, retrying", "resource", resource, "error", err)
		}
	})
	if err != nil {
		return nil, err
	}
	registered, err := informer.AddEventHandler(handler)
	if err != nil {
		return nil, err
	}
	return registered.HasSynced, nil
}
