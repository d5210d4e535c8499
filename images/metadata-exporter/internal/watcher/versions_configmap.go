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

	"github.com/deckhouse-mesh/istio/lib/informer"
)

// fieldManager names the program in an object's managed fields.
const fieldManager = "metadata-watcher"

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// configMap is the cached part of a kind's ConfigMap: the value that is written
// for each resource, by its name.
type configMap struct {
	informer.Meta

	written map[string]string
}

func readConfigMap(object *unstructured.Unstructured) (any, error) {
	written, _, _ := unstructured.NestedStringMap(object.Object, "data") // the API server accepts nothing but strings
	return &configMap{informer.MetaOf(object), written}, nil
}

func (w *Watcher) configMaps() dynamic.ResourceInterface {
	return w.Client.Resource(configMaps).Namespace(w.Namespace)
}

// configMapChanged notifies the peers whose value has changed.
func (w *Watcher) configMapChanged(object any) {
	w.setWritten(object, func(before, now string) bool { return before != now })
}

// configMapCreated notifies all peers: values that were lost are written again,
// and a write that has failed does not wait for its next try.
func (w *Watcher) configMapCreated(object any) {
	w.setWritten(object, func(string, string) bool { return true })
}

func (w *Watcher) setWritten(object any, concerns func(before, now string) bool) {
	found, ok := object.(*configMap)
	if !ok {
		return
	}
	w.missing.Store(false)
	w.mu.Lock()
	before, now := w.written, found.written
	w.written = now
	for name, watched := range w.peers {
		if concerns(before[name], now[name]) {
			watched.state.written = now[name]
		}
	}
	w.mu.Unlock()
	w.changed.Set()
}

// configMapDeleted notifies no peer: there is nothing to write into, most likely
// because the kind is being switched off.
func (w *Watcher) configMapDeleted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written = nil
}

// patch sets the values of resources in the ConfigMap, by their names; nil removes one.
func (w *Watcher) patch(ctx context.Context, values map[string]*string) error {
	patch, err := json.Marshal(map[string]any{"data": values})
	if err != nil {
		return fmt.Errorf("encode the document versions of kind %s: %w", w.Kind.Name, err)
	}
	_, err = w.configMaps().Patch(ctx, w.Kind.ConfigMap, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("write document versions into ConfigMap %s/%s: %w", w.Namespace, w.Kind.ConfigMap, err)
	}
	return nil
}

// reportMissing logs once that the ConfigMap does not exist, until it has existed again.
func (w *Watcher) reportMissing(err error) {
	if !w.missing.Swap(true) {
		w.Log.Warn(fmt.Sprintf("ConfigMap %s not found: cannot notify the discovery hook; retrying, and the hook asks peers every minute. "+
			"The next release of the module creates the ConfigMap", w.Kind.ConfigMap), "kind", w.Kind.Name, "configMap", w.Kind.ConfigMap, "error", err)
	}
}
