package demo

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// watcher waits for ServiceEntries of one hostname, wherever they are.
type watcher struct {
	clients  *kube.Clients
	hostname string
}

func newWatcher(clients *kube.Clients, hostname string) *watcher {
	return &watcher{clients: clients, hostname: hostname}
}

// await waits until a ServiceEntry with the hostname is present, which it
// returns, or until none is.
func (w *watcher) await(parent context.Context, present bool) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	entry, err := w.until(ctx, present)
	switch {
	case err == nil:
		return entry, nil
	case parent.Err() != nil:
		return nil, context.Cause(parent)
	case ctx.Err() == nil:
		return nil, err
	case present:
		return nil, fmt.Errorf("no ServiceEntry for %s after %s; `lab status` says what is wrong", w.hostname, timeout)
	}
	return nil, fmt.Errorf("still a ServiceEntry for %s after %s; `lab status` says what is wrong", w.hostname, timeout)
}

func (w *watcher) until(ctx context.Context, present bool) (*unstructured.Unstructured, error) {
	for {
		list, err := w.clients.Dynamic.Resource(kube.ServiceEntries).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list ServiceEntries: %w", err)
		}
		found := map[string]*unstructured.Unstructured{}
		for i := range list.Items {
			w.note(found, &list.Items[i], false)
		}
		if entry, done := judge(found, present); done {
			return entry, nil
		}
		entry, done, err := w.follow(ctx, list.GetResourceVersion(), found, present)
		if err != nil || done {
			return entry, err
		}
	}
}

// follow watches on from a list until the hostname is there, or gone, or the watch ends.
func (w *watcher) follow(ctx context.Context, version string, found map[string]*unstructured.Unstructured, present bool) (*unstructured.Unstructured, bool, error) {
	events, err := w.clients.Dynamic.Resource(kube.ServiceEntries).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return nil, false, fmt.Errorf("watch ServiceEntries: %w", err)
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		entry, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type == watch.Error {
			break // too old, most likely: list again
		}
		w.note(found, entry, event.Type == watch.Deleted)
		if entry, done := judge(found, present); done {
			return entry, true, nil
		}
	}
	return nil, false, ctx.Err()
}

func (w *watcher) note(found map[string]*unstructured.Unstructured, entry *unstructured.Unstructured, deleted bool) {
	key := entry.GetNamespace() + "/" + entry.GetName()
	hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
	if deleted || !slices.Contains(hosts, w.hostname) {
		delete(found, key)
		return
	}
	found[key] = entry
}

func judge(found map[string]*unstructured.Unstructured, present bool) (*unstructured.Unstructured, bool) {
	for _, entry := range found {
		return entry, present
	}
	return nil, !present
}
