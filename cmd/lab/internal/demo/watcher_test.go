package demo

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

func entry(name, host string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"namespace": "d8-istio", "name": name},
		"spec":     map[string]any{"hosts": []any{host}},
	}}
}

func TestTheWatcherReportsOneHostnameAppearingAndDisappearing(t *testing.T) {
	const host = "web.demo.svc.cluster-b.local"
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{kube.ServiceEntries: "ServiceEntryList"}, entry("other", "other.example"))
	entries := client.Resource(kube.ServiceEntries).Namespace("d8-istio")
	w := newWatcher(&kube.Clients{Dynamic: client}, host)

	if found, err := w.await(t.Context(), false); err != nil || found != nil {
		t.Fatalf("before it is published: %v, %v", found, err)
	}
	type answer struct {
		entry *unstructured.Unstructured
		err   error
	}
	wait := func(present bool) <-chan answer {
		watched := watches(client)
		result := make(chan answer, 1)
		go func() {
			found, err := w.await(t.Context(), present)
			result <- answer{found, err}
		}()
		for end := time.Now().Add(10 * time.Second); watches(client) == watched; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it does not watch")
			}
		}
		return result
	}

	came := wait(true)
	for _, created := range []*unstructured.Unstructured{entry("decoy", "decoy.example"), entry("web", host)} {
		if _, err := entries.Create(t.Context(), created, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-came; got.err != nil || got.entry.GetName() != "web" {
		t.Fatalf("when it is published: %+v", got)
	}

	went := wait(false)
	if err := entries.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-went; got.err != nil || got.entry != nil {
		t.Fatalf("when it is unpublished: %+v", got)
	}
}

func watches(client *fake.FakeDynamicClient) int {
	count := 0
	for _, action := range client.Actions() {
		if action.GetVerb() == "watch" {
			count++
		}
	}
	return count
}
