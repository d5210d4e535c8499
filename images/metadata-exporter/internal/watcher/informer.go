package watcher

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// source is what an informer watches.
type source struct {
	objects dynamic.ResourceInterface
	// name of the only object to watch; empty for all.
	name string
	// what it is in logs and errors, and what a failure to watch it means.
	what, consequence string
	// strip takes from an object what is kept of it.
	strip func(*unstructured.Unstructured) metav1.ObjectMetaAccessor
}

// informer calls handler for what source has. client-go's dynamicinformer does the
// same, and links every typed client and informer there is: memory of the
// exporter that nothing uses. synced is true once handler knows all that there
// was in the beginning.
func (w *Watcher) informer(of source, handler cache.ResourceEventHandler) (_ cache.SharedIndexInformer, synced cache.InformerSynced, err error) {
	only := func(options metav1.ListOptions) metav1.ListOptions {
		if of.name != "" {
			options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, of.name).String()
		}
		return options
	}
	informer := cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return of.objects.List(ctx, only(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return of.objects.Watch(ctx, only(options))
		},
	}, w.Client), &unstructured.Unstructured{}, cache.SharedIndexInformerOptions{ObjectDescription: of.what})
	// It may be applied to its own results, too.
	err = informer.SetTransform(func(object any) (any, error) {
		if whole, ok := object.(*unstructured.Unstructured); ok {
			return of.strip(whole), nil
		}
		return object, nil
	})
	if err == nil {
		err = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
			if ctx.Err() == nil {
				w.Log.Warn("list or watch failed; "+of.consequence+", retrying", "what", of.what, "error", err)
			}
		})
	}
	var registration cache.ResourceEventHandlerRegistration
	if err == nil {
		registration, err = informer.AddEventHandler(handler)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prepare to watch %s: %w", of.what, err)
	}
	return informer, registration.HasSynced, nil
}

// lastSeen is what a handler is told of an object that is gone: itself, or, when
// its end was missed, what was known of it.
func lastSeen(object any) any {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj
	}
	return object
}
