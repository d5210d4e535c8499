package syncer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
)

// resources are the names of the kinds in the API.
var resources = map[string]string{
	federation.ServiceEntryKind:    "serviceentries",
	federation.DestinationRuleKind: "destinationrules",
}

// of returns the client for a kind in the module's namespace.
func of(client dynamic.Interface, kind string) dynamic.ResourceInterface {
	version := schema.FromAPIVersionAndKind(federation.NetworkingAPIVersion, kind).GroupVersion()
	return client.Resource(version.WithResource(resources[kind])).Namespace(v1alpha1.Namespace)
}

// found is what is remembered of an existing object: not its spec, since
// there are tens of thousands.
type found struct {
	metav1.ObjectMeta
	federation.State
	sum fingerprint
}

// watching is the watch of one kind.
type watching struct {
	store      cache.Store
	controller cache.Controller
}

func watchKind(client dynamic.Interface, kind string, changed func(federation.Key)) watching {
	example := &unstructured.Unstructured{}
	example.SetGroupVersionKind(schema.FromAPIVersionAndKind(federation.NetworkingAPIVersion, kind))
	notify := func(object any) {
		if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
			changed(federation.Key{Kind: kind, Name: name.Name})
		}
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return of(client, kind).List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return of(client, kind).Watch(ctx, options)
			},
		}, client),
		ObjectType: example,
		Transform:  summarize,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: notify, UpdateFunc: func(_, object any) { notify(object) }, DeleteFunc: notify,
		},
	})
	return watching{store, controller}
}

// summarize retains only what is compared.
func summarize(object any) (any, error) {
	whole, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	read := federation.Read(whole)
	_, sum, err := encode(read.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %q: %w", read.Kind, read.Name, err)
	}
	return &found{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: whole.GetNamespace(), Name: whole.GetName(), UID: whole.GetUID(), ResourceVersion: whole.GetResourceVersion(),
		},
		State: read.State, sum: sum,
	}, nil
}

// get returns what is known of an object; nil when it does not exist.
func (w watching) get(name string) *found {
	object, exists, err := w.store.GetByKey(v1alpha1.Namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	known, _ := object.(*found)
	return known
}
