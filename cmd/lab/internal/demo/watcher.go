package demo

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// watcher waits for the ServiceEntry of one hostname, wherever it is.
type watcher struct {
	clients  *kube.Clients
	hostname string
}

func newWatcher(clients *kube.Clients, hostname string) *watcher {
	return &watcher{clients: clients, hostname: hostname}
}

// await waits until a ServiceEntry with the hostname exists, which it returns,
// or until none does.
func (w *watcher) await(ctx context.Context, exists bool) (*unstructured.Unstructured, error) {
	expected := "no ServiceEntry for " + w.hostname
	if !exists {
		expected = "still a ServiceEntry for " + w.hostname
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s after %s; `lab status` says what is wrong", expected, timeout))
	defer cancel()
	var entry *unstructured.Unstructured
	listed := func(store cache.Store) (bool, error) {
		for _, object := range store.List() {
			if w.matches(object) {
				entry, _ = object.(*unstructured.Unstructured)
			}
		}
		return (entry != nil) == exists, nil
	}
	changed := func(event watch.Event) (bool, error) {
		if !w.matches(event.Object) {
			return false, nil
		}
		entry, _ = event.Object.(*unstructured.Unstructured)
		return (event.Type != watch.Deleted) == exists, nil
	}
	_, err := watchtools.UntilWithSync(ctx, w.entries(), &unstructured.Unstructured{}, listed, changed)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("watch ServiceEntries: %w", err)
	case !exists:
		return nil, nil //nolint:nilnil // that there is none was awaited
	}
	return entry, nil
}

func (w *watcher) entries() cache.ListerWatcher {
	entries := w.clients.Dynamic.Resource(kube.ServiceEntries)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return entries.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return entries.Watch(ctx, options)
		},
	}, w.clients.Dynamic)
}

func (w *watcher) matches(object any) bool {
	entry, ok := object.(*unstructured.Unstructured)
	if !ok {
		return false
	}
	hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
	return slices.Contains(hosts, w.hostname)
}
