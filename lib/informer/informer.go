// Package informer makes client-go informers that report their failures and that
// need no client for every kind of Kubernetes: client-go's own factories link all
// typed clients, 8 MiB of resident memory in a program that uses few.
package informer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Reader lists and watches the objects of one kind; client-go's typed, dynamic
// and metadata clients are Readers.
type Reader[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// Source is what an Informer watches.
type Source[L runtime.Object] struct {
	Reader Reader[L]
	// Client that Reader belongs to, if they are two: a fake one reports that it cannot stream the first list.
	Client any
	// Example is an object of the kind.
	Example runtime.Object
	// Name of the objects in logs and errors.
	Name string
	// Select narrows lists and watches; nil selects all objects.
	Select func(*metav1.ListOptions)
	// Strip drops what nobody reads before an object is stored; nil stores it as it is.
	Strip cache.TransformFunc
	// Consequence of a failed list or watch, for the log; empty: the last known state stays in force.
	Consequence string
}

// Informer is a SharedIndexInformer that reports what it waits for.
type Informer struct {
	cache.SharedIndexInformer

	name    string
	handled cache.InformerSynced
	// failure of the last list or watch.
	failure atomic.Pointer[string]
}

// New makes an Informer that calls handler for each event. Where the API server
// can stream the first list it is asked to: objects are stripped one by one, and
// a long list is never in memory as a whole.
func New[L runtime.Object](source Source[L], log *slog.Logger, handler cache.ResourceEventHandler) (*Informer, error) {
	narrow := source.Select
	if narrow == nil {
		narrow = func(*metav1.ListOptions) {}
	}
	client := source.Client
	if client == nil {
		client = source.Reader
	}
	i := &Informer{name: source.Name, SharedIndexInformer: cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				narrow(&options)
				return source.Reader.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				narrow(&options)
				return source.Reader.Watch(ctx, options)
			},
		}, client), source.Example, 0, cache.Indexers{})}
	if err := i.prepare(source.Strip, source.Consequence, log, handler); err != nil {
		return nil, fmt.Errorf("prepare to watch %s: %w", source.Name, err)
	}
	return i, nil
}

func (i *Informer) prepare(strip cache.TransformFunc, consequence string, log *slog.Logger, handler cache.ResourceEventHandler) error {
	if strip != nil {
		if err := i.SetTransform(strip); err != nil {
			return err
		}
	}
	if consequence == "" {
		consequence = "the last known state stays in force"
	}
	err := i.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			reason := err.Error()
			i.failure.Store(&reason)
			log.Warn("list or watch failed; "+consequence+", retrying", "resource", i.name, "error", err)
		}
	})
	if err != nil {
		return err
	}
	registration, err := i.AddEventHandler(handler)
	if err != nil {
		return err
	}
	i.handled = registration.HasSynced
	return nil
}

// Start runs informers until ctx ends, and waits until all are synced; false when ctx
// ended first. running is done once all have stopped.
func Start(ctx context.Context, running *sync.WaitGroup, informers ...*Informer) bool {
	var synced []cache.InformerSynced
	for _, each := range informers {
		synced = append(synced, each.Synced)
		running.Go(func() { each.RunWithContext(ctx) })
	}
	return cache.WaitForCacheSync(ctx.Done(), synced...)
}

// Synced is true once the handler was called for all objects of the first list.
func (i *Informer) Synced() bool { return i.handled() }

// Ready returns nil once the Informer is synced, and before that the reason why it is not.
func (i *Informer) Ready() error {
	if i.Synced() {
		return nil
	}
	if reason := i.failure.Load(); reason != nil {
		return fmt.Errorf("waiting for the first list of %s from the API server: %s", i.name, *reason)
	}
	return fmt.Errorf("waiting for the first list of %s from the API server", i.name)
}

// Named selects the one object of that name. The field selector is what lets a
// Role with resourceNames allow lists and watches.
func Named(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

// Labelled selects the objects that a label selector matches.
func Labelled(selector string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) { options.LabelSelector = selector }
}

// OnEvery makes a handler that calls changed for every event.
func OnEvery(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
}

// Stripping makes a Source.Strip of a function for objects of one type. An
// informer may call it with its own results, too: those stay as they are.
func Stripping[T any](strip func(T) (any, error)) cache.TransformFunc {
	return func(object any) (any, error) {
		if whole, ok := object.(T); ok {
			return strip(whole)
		}
		return object, nil
	}
}

// StripMetadata is a Source.Strip that drops annotations and managed fields.
func StripMetadata(object any) (any, error) {
	if object, ok := object.(metav1.Object); ok {
		object.SetManagedFields(nil)
		object.SetAnnotations(nil)
	}
	return object, nil
}

// Meta is what an informer needs of an object in its cache, for a Source.Strip that
// leaves a type of its own: the name, and the version to tell an update from a
// repetition. metav1.ObjectMeta has 248 bytes even when it is empty.
type Meta struct {
	types.NamespacedName

	version string
}

var _ metav1.ObjectMetaAccessor = Meta{}

// MetaOf an object.
func MetaOf(object metav1.Object) Meta {
	return Meta{
		NamespacedName: types.NamespacedName{Namespace: unique.Make(object.GetNamespace()).Value(), Name: object.GetName()},
		version:        object.GetResourceVersion(),
	}
}

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (m Meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.version}
}

// LastSeen is the deleted object that a handler gets: itself, or its last known
// state when the watch missed the deletion.
func LastSeen(object any) any {
	if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return missed.Obj
	}
	return object
}

// Signal is a flag that event handlers set and one goroutine waits for; any
// number of events before it looks are one.
type Signal chan struct{}

// NewSignal makes a Signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set the signal.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default:
	}
}
