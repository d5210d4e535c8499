//go:build apiserver

package guarded_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/test/guarded"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
)

// TestAPeerMayPassWhileItsResourceExists deletes the peer's
// IstioMulticluster. Nobody changes the Secret: there is no operator here.
func TestAPeerMayPassWhileItsResourceExists(t *testing.T) {
	p := start(t, "sees-resources", guarded.AsRendered)
	client := p.client(t, true)
	resources := peerResources(t)
	answered := func(what string, want int) {
		t.Helper()
		awaittest.Holds(t, deadline, what, func() string {
			code, body, err := p.ask(t.Context(), client, http.MethodGet, "/api/v1/services?limit=1", "", nil)
			if err == nil && code == want {
				return ""
			}
			return fmt.Sprintf("%d %s (%v), want %d", code, body, err, want)
		})
	}
	retain(t, resources, true)
	answered("while the resource exists", http.StatusOK)
	ended := holdWatch(t, p)

	if err := resources.Delete(t.Context(), guarded.PeerName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the watch has broken off: %v", err)
		}
	case <-time.After(deadline):
		t.Fatal("the watch goes on")
	}
	answered("while a finalizer retains the resource", http.StatusUnauthorized)

	retain(t, resources, false)
	answered("when the resource is gone", http.StatusUnauthorized)
	if uid, err := cluster.AddPeer(t.Context()); err != nil || uid == "" {
		t.Fatalf("create the resource again: %q, %v", uid, err)
	}
	// The Secret was made for the former resource.
	answered("under the same name", http.StatusUnauthorized)
	next := start(t, "sees-resources", guarded.AsRendered)
	if code, body, err := next.ask(t.Context(), next.client(t, true), http.MethodGet, "/api/v1/services?limit=1", "", nil); err != nil || code != http.StatusOK {
		t.Errorf("under the new resource: %d %s (%v)", code, body, err)
	}
}

func peerResources(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource})
}

// retain the peer's resource by a finalizer, or release it; it is released at the end of the test in any case.
func retain(t *testing.T, resources dynamic.ResourceInterface, retained bool) {
	t.Helper()
	finalizers := `["guarded.example/kept"]`
	if !retained {
		finalizers = "[]"
	}
	patch := fmt.Appendf(nil, `{"metadata":{"finalizers":%s}}`, finalizers)
	if _, err := resources.Patch(context.Background(), guarded.PeerName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if retained {
		t.Cleanup(func() { retain(t, resources, false) })
	}
}

// holdWatch opens a watch of Services as the peer; the channel gets how it ends: nil for a regular end.
func holdWatch(t *testing.T, p *proxy) (ended <-chan error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Peer.Host+"/api/v1/services?watch=true&timeoutSeconds=300", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.Peer.BearerToken)
	response, err := p.client(t, true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the watch is answered with %s", response.Status)
	}
	result := make(chan error, 1)
	go func() {
		defer func() { _ = response.Body.Close() }()
		_, err := io.Copy(io.Discard, response.Body)
		result <- err
	}()
	return result
}
