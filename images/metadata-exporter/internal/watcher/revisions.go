package watcher

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// fieldManager names the exporter in an object's managed fields.
const fieldManager = "metadata-exporter"

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// revisions is what is kept of a kind's ConfigMap: the value that is written for
// each resource, by its name, and the version by which an informer tells an
// update from a repetition.
type revisions struct {
	name, version string
	written       map[string]string
}

var _ metav1.ObjectMetaAccessor = (*revisions)(nil)

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (r *revisions) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Name: r.name, ResourceVersion: r.version}
}

func readRevisions(object *unstructured.Unstructured) metav1.ObjectMetaAccessor {
	written, _, _ := unstructured.NestedStringMap(object.Object, "data") // the API server sees to it that they are texts
	return &revisions{name: object.GetName(), version: object.GetResourceVersion(), written: written}
}

func (w *Watcher) configMaps() dynamic.ResourceInterface {
	return w.Client.Resource(configMaps).Namespace(w.Namespace)
}

// show takes in what the ConfigMap says now, and tells those peers of which
// something else is written than before.
func (w *Watcher) show(object any) {
	w.replaceWritten(object, func(before, now string) bool { return before != now })
}

// showAnew is show for a ConfigMap that was not there: it tells all peers, for
// what is not written any more is to be written again, and what could not be written
// meanwhile does not wait for its next try.
func (w *Watcher) showAnew(object any) {
	w.replaceWritten(object, func(string, string) bool { return true })
}

func (w *Watcher) replaceWritten(object any, concerns func(before, now string) bool) {
	found, ok := object.(*revisions)
	if !ok {
		return
	}
	w.missing.Store(false)
	w.mu.Lock()
	before, now := w.written, found.written
	w.written = now
	for name, watched := range w.peers {
		if concerns(before[name], now[name]) {
			watched.show(now[name])
		}
	}
	w.mu.Unlock()
	w.sweeping.wake()
}

// hide takes in that there is no ConfigMap. The peers are not told: there is
// nothing to write into, most likely because the kind is being switched off.
func (w *Watcher) hide() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = nil
}

// write sets the values of resources in the ConfigMap, by their names; nil removes one.
// What others write at the same time may go with the same patch.
func (w *Watcher) write(ctx context.Context, values map[string]*string) error {
	return w.writing.write(ctx, values)
}

// patch sends what write has gathered.
func (w *Watcher) patch(ctx context.Context, values map[string]*string) error {
	patch, err := json.Marshal(map[string]any{"data": values})
	if err != nil {
		return fmt.Errorf("encode revisions of kind %s: %w", w.Kind.Name, err)
	}
	_, err = w.configMaps().Patch(ctx, w.Kind.Revisions, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("write revisions into ConfigMap %s/%s: %w", w.Namespace, w.Kind.Revisions, err)
	}
	return nil
}

// sayMissing says once that the ConfigMap is not there, until it has been there again.
func (w *Watcher) sayMissing(err error) {
	if !w.missing.Swap(true) {
		w.Log.Warn("there is no ConfigMap to tell the discovery hook of news in; retrying, and the hook asks peers every minute. "+
			"It comes back with the next release of the module", "kind", w.Kind.Name, "configMap", w.Kind.Revisions, "error", err)
	}
}
