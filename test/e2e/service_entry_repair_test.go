//go:build e2e

package e2e

import (
	"context"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// TestADeletedOrEditedServiceEntryIsRestored: no schedule is waited
// for, and what people add beside the spec stays.
func TestADeletedOrEditedServiceEntryIsRestored(t *testing.T) {
	awaitPeers(t)
	hostname := suite.b.publish(t, suite.b.namespace(t), "web")
	entry := suite.a.awaitImported(t, hostname, prompt)
	entries := suite.a.dynamic.Resource(serviceEntries).Namespace(moduleNamespace)

	if err := entries.Delete(context.Background(), entry.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "the deleted ServiceEntry is created again", func() string {
		if again := suite.a.imported(t, hostname); again == nil || again.GetUID() == entry.GetUID() {
			return "it is not"
		}
		return ""
	})

	patch := []byte(`{"metadata":{"annotations":{"example.com/note":"a person's"}},"spec":{"exportTo":["."],"resolution":"DNS"}}`)
	if _, err := entries.Patch(context.Background(), entry.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	want, _, _ := unstructured.NestedMap(entry.Object, "spec")
	eventually(t, prompt, "the edited ServiceEntry is as it was", func() string {
		now := suite.a.imported(t, hostname)
		if now == nil {
			return "it is gone"
		}
		if spec, _, _ := unstructured.NestedMap(now.Object, "spec"); !reflect.DeepEqual(spec, want) {
			return "it is not"
		}
		if now.GetAnnotations()["example.com/note"] == "" {
			t.Fatal("a person's annotation is gone")
		}
		return ""
	})
}
