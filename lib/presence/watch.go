package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// plurals are the kinds that can be watched, and how URLs call them.
var plurals = map[string]string{
	v1alpha1.IstioFederationKind:   v1alpha1.IstioFederationResource,
	v1alpha1.IstioMulticlusterKind: v1alpha1.IstioMulticlusterResource,
}

// Watch looks which resources exist: at their metadata only, which stays small
// whatever a status holds. While the API server is away, everything is as it was.
type Watch struct {
	kinds []*watchedKind
}

type watchedKind struct {
	name, plural string
	informer     cache.SharedIndexInformer
	// failure of the last list or watch.
	failure atomic.Pointer[string]
}

// NewWatch makes a Watch of the resources of those kinds; of others none exist.
// changed is called, by more than one goroutine, when Resources have become others.
func NewWatch(client metadata.Interface, kinds []string, log *slog.Logger, changed func()) (*Watch, error) {
	w := &Watch{}
	for _, kind := range kinds {
		plural, known := plurals[kind]
		if !known {
			return nil, fmt.Errorf("watch which resources of kind %s exist: such resources join no neighbours", kind)
		}
		watched, err := watchKind(client, kind, plural, log, changed)
		if err != nil {
			return nil, fmt.Errorf("prepare to watch which resources of kind %s exist: %w", kind, err)
		}
		w.kinds = append(w.kinds, watched)
	}
	return w, nil
}

func watchKind(client metadata.Interface, kind, plural string, log *slog.Logger, changed func()) (*watchedKind, error) {
	objects := client.Resource(schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: plural})
	watched := &watchedKind{name: kind, plural: plural, informer: cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return objects.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return objects.Watch(ctx, options)
			},
		}, client), &metav1.PartialObjectMetadata{}, 0, cache.Indexers{})}
	if err := watched.informer.SetTransform(strip); err != nil {
		return nil, err
	}
	err := watched.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			reason := err.Error()
			watched.failure.Store(&reason)
			consequence := "what is known stays"
			if !watched.informer.HasSynced() {
				consequence = "nobody is known to be a neighbour before the first complete list"
			}
			log.Warn("list or watch failed; "+consequence+", retrying", "resource", plural, "error", err)
		}
	})
	if err != nil {
		return nil, err
	}
	_, err = watched.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if !sameResource(before, after) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	return watched, err
}

// strip is the informer's transformation: it keeps who the object is, whether it
// is about to go, and the version by which an informer tells an update from a repetition.
func strip(object any) (any, error) {
	if whole, ok := object.(*metav1.PartialObjectMetadata); ok {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: whole.Name, UID: whole.UID, ResourceVersion: whole.ResourceVersion, DeletionTimestamp: whole.DeletionTimestamp,
		}}, nil
	}
	return object, nil
}

// sameResource is true for most updates: those of a status.
func sameResource(before, after any) bool {
	old, wasThere := before.(*metav1.PartialObjectMetadata)
	now, isThere := after.(*metav1.PartialObjectMetadata)
	return wasThere && isThere && old.UID == now.UID && old.DeletionTimestamp.IsZero() == now.DeletionTimestamp.IsZero()
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, each := range w.kinds {
		running.Go(func() { each.informer.RunWithContext(ctx) })
	}
	running.Wait()
}

// Synced is true once Resources have been complete.
func (w *Watch) Synced() bool { return w.Ready() == nil }

// Ready returns nil once Resources have been complete, and before that what is waited for.
func (w *Watch) Ready() error {
	for _, each := range w.kinds {
		if each.informer.HasSynced() {
			continue
		}
		if reason := each.failure.Load(); reason != nil {
			return fmt.Errorf("waiting for the first list of %s from the API server: %s", each.plural, *reason)
		}
		return fmt.Errorf("waiting for the first list of %s from the API server", each.plural)
	}
	return nil
}

// Resources are those that exist. One that is being deleted does not, though a
// finalizer may keep it: somebody has taken back what it allows.
func (w *Watch) Resources() Resources {
	var existing []Resource
	for _, each := range w.kinds {
		for _, object := range each.informer.GetStore().List() {
			if found, ok := object.(*metav1.PartialObjectMetadata); ok && found.DeletionTimestamp.IsZero() {
				existing = append(existing, Resource{Kind: each.name, Name: found.Name, UID: found.UID})
			}
		}
	}
	return Of(existing...)
}
