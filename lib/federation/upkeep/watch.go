package upkeep

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

// found is what is remembered of an object that is there: not its spec, since
// there are tens of thousands.
type found struct {
	metav1.ObjectMeta
	federation.Presence
	sum fingerprint
}

// watching is the watch of one kind.
type watching struct {
	store      cache.Store
	controller cache.Controller
}

func watchKind(client dynamic.Interface, kind string, look func(federation.Key)) watching {
	example := &unstructured.Unstructured{}
	example.SetGroupVersionKind(schema.FromAPIVersionAndKind(federation.NetworkingAPIVersion, kind))
	tell := func(object any) {
		if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
			look(federation.Key{Kind: kind, Name: name.Name})
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
			AddFunc: tell, UpdateFunc: func(_, object any) { tell(object) }, DeleteFunc: tell,
		},
	})
	return watching{store, controller}
}

// summarize keeps of an object what is compared.
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
		Presence: read.Presence, sum: sum,
	}, nil
}

// get returns what is known of an object; nil when it is not there.
func (w watching) get(name string) *found {
	object, exists, err := w.store.GetByKey(v1alpha1.Namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	known, _ := object.(*found)
	return known
}
