// Package cluster is what the program reads and writes in its own cluster: two ConfigMaps.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// abandonedAfter is the age at which another Pod's report is removed: the Pod is gone.
const abandonedAfter = 10 * time.Minute

// ConfigMaps of a namespace.
func ConfigMaps(client dynamic.Interface, namespace string) dynamic.ResourceInterface {
	return client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
}

// Reports writes the reports of one Pod. It is not safe for concurrent use.
type Reports struct {
	ConfigMaps dynamic.ResourceInterface
	// Pod is this Pod's name.
	Pod string

	// abandoned are the keys of Pods that are gone, found in the answer to the last write.
	abandoned []string
}

// Write replaces the Pod's report.
func (r *Reports) Write(ctx context.Context, report healthcheck.Report) error {
	encoded, err := report.Encode()
	if err != nil {
		return err
	}
	values := map[string]*string{}
	for _, pod := range r.abandoned {
		values[pod] = nil
	}
	values[r.Pod] = &encoded
	patch, err := json.Marshal(map[string]any{"data": values})
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	written, err := r.ConfigMaps.Patch(ctx, healthcheck.ReportsConfigMap, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: healthcheck.Name})
	if err != nil {
		return fmt.Errorf("write the report into ConfigMap %s: %w", healthcheck.ReportsConfigMap, err)
	}
	r.abandoned = abandoned(data(written), r.Pod, report.Time)
	return nil
}

// abandoned are the keys, without the Pod's own, of which nothing valid was written for long.
func abandoned(data map[string]string, own string, now time.Time) []string {
	var keys []string
	for pod, value := range data {
		var other healthcheck.Report
		if pod != own && (json.Unmarshal([]byte(value), &other) != nil || now.Sub(other.Time) > abandonedAfter) {
			keys = append(keys, pod)
		}
	}
	return keys
}

func data(configMap *unstructured.Unstructured) map[string]string {
	found, _, _ := unstructured.NestedStringMap(configMap.Object, "data") // the API server accepts nothing but strings
	return found
}
