//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// multiclusterTrustIsMutualOrNone: a cluster whose IstioMulticluster is deleted parts from its peer at once, and
// accepts no request of it; the peer retains what it knows and reports what it waits for.
func multiclusterTrustIsMutualOrNone(t *testing.T) {
	l := meshOf(t)
	stays, leaves := l.a, l.b
	t.Cleanup(func() { l.awaitPeers(t) })
	namespace := everywhere(t, stays, leaves)
	endpoints := map[*cluster]string{stays: stays.application(t, namespace, "api"), leaves: leaves.application(t, namespace, "api")}
	host := stays.hostname(t, namespace, "api")
	podInStaying, podInLeaving := stays.podWithSidecar(t, namespace, "client", "client"), leaves.podWithSidecar(t, namespace, "client", "client")
	inStaying, inLeaving := stays.sidecar(t, podInStaying, defaultIstio()), leaves.sidecar(t, podInLeaving, defaultIstio())
	staysShares := sendsTo(host, endpoints[stays], stays.gatewayOf(t, leaves))
	leavesShares := sendsTo(host, endpoints[leaves], leaves.gatewayOf(t, stays))
	awaitView(t, inStaying, "the Service has endpoints in both clusters", staysShares)
	awaitView(t, inLeaving, "the Service has endpoints in both clusters", leavesShares)
	awaitView(t, inLeaving, "both clusters' identities can be verified", trusts(stays.rootsPEM(t), true))
	watch := leaves.holdWatch(t, stays.tokenForPeer(t, leaves, authn.ScopeAPI))

	comeBack := leaves.part(t, stays)
	select {
	case ended := <-watch:
		if ended != nil {
			t.Errorf("the watch that %s held has broken off: %v", stays.name, ended)
		}
	case <-time.After(prompt):
		t.Fatalf("the watch that %s holds goes on", stays.name)
	}
	eventually(t, prompt, leaves.name+"'s API proxy rejects "+stays.name, func() string {
		return want(askAPI(t, leaves, "/api/v1/services", stays.tokenForPeer(t, leaves, authn.ScopeAPI), nil))(http.StatusUnauthorized)
	})
	caller{token: stays.tokenForPeer(t, leaves, authn.ScopePrivateMulticluster)}.
		awaitStatus(t, leaves, metadata.MulticlusterPath, http.StatusUnauthorized)
	awaitView(t, inLeaving, "the peer's endpoints are gone", sendsTo(host, endpoints[leaves]))
	awaitView(t, inLeaving, "the peer's identities cannot be verified", trusts(stays.rootsPEM(t), false))
	leaves.awaitForgottenCluster(t, stays)

	eventually(t, scheduled, stays.name+" reports what it waits for", func() string {
		_, reason, _ := stays.conditionOf(multiclusters, leaves.name, v1alpha1.ConditionReady)
		return want(reason, nil)(string(peer.Unauthorized))
	})
	awaitView(t, inStaying, "what is known of the peer that rejects it is retained", staysShares)
	awaitView(t, inStaying, "and it is trusted as long as the resource is there", trusts(leaves.rootsPEM(t), true))

	comeBack()
	leaves.awaitInMesh(t, stays)
	stays.awaitInMesh(t, leaves)
	awaitWithin(t, scheduled, inLeaving, "the peer's endpoints are back", leavesShares)
	awaitView(t, inLeaving, "the peer's identities can be verified again", trusts(stays.rootsPEM(t), true))
	// What was rejected in between is read again: changes arrive.
	leaves.application(t, namespace, "later")
	awaitWithin(t, scheduled, inStaying, "a Service that was made since arrives",
		sendsTo(stays.hostname(t, namespace, "later"), stays.gatewayOf(t, leaves)))
}

// part deletes the IstioMulticluster for the peer and returns what restores it, which also happens when the test ends.
func (c *cluster) part(t *testing.T, from *cluster) (comeBack func()) {
	t.Helper()
	return c.remove(t, multiclusters, from.name)
}

// remove deletes the resource of a peer and returns what restores it, which also happens when the test ends.
func (c *cluster) remove(t *testing.T, of schema.GroupVersionResource, name string) (comeBack func()) {
	t.Helper()
	resources := c.dynamic.Resource(of)
	kept, err := resources.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kept.GetAPIVersion(), "kind": kept.GetKind(),
		"metadata": map[string]any{"name": kept.GetName()}, "spec": kept.Object["spec"],
	}}
	if err := resources.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	restored := false
	comeBack = func() {
		if restored {
			return
		}
		restored = true
		if _, err := resources.Create(context.Background(), again, metav1.CreateOptions{}); err != nil {
			t.Errorf("restore %s %s of %s: %v", again.GetKind(), name, c.name, err)
		}
	}
	t.Cleanup(comeBack)
	return comeBack
}

// holdWatch opens a watch of Services at the cluster's API proxy; ended receives how it ends: nil for a proper end.
func (c *cluster) holdWatch(t *testing.T, token string) (ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scheduled)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.described(t).APIProxy+"/api/v1/services?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	transport := c.transport(t, nil)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the watch is answered with %s", response.Status)
	}
	result := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, response.Body)
		result <- err
	}()
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
		transport.CloseIdleConnections()
	})
	return result
}

// awaitForgottenCluster waits until the cluster has no credentials for the peer, and its istiods do not know it.
func (c *cluster) awaitForgottenCluster(t *testing.T, peer *cluster) {
	t.Helper()
	eventually(t, prompt, c.name+" has forgotten "+peer.name, func() string {
		_, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "istio-remote-secret-"+peer.name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the Secret is there (%v)", err)
		}
		for _, version := range c.installedVersions() {
			if status, err := c.remoteCluster(istiodOf(version), peer.name); err != nil || status != "" {
				return fmt.Sprintf("%s has it as %q (%v)", istiodOf(version), status, err)
			}
		}
		return ""
	})
}

// trusts is the condition that a sidecar is, or is not, given an anchor for each of these roots' keys.
func trusts(roots string, wanted bool) func(*mesh.View) string {
	return func(view *mesh.View) string {
		trusted, err := view.Trusted()
		if err != nil {
			return err.Error()
		}
		for block, rest := pem.Decode([]byte(roots)); block != nil; block, rest = pem.Decode(rest) {
			root, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err.Error()
			}
			found := false
			for _, anchor := range trusted {
				found = found || bytes.Equal(anchor.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo)
			}
			if found != wanted {
				return fmt.Sprintf("of %d certificates one is for the key of %s: %t", len(trusted), root.Subject, found)
			}
		}
		return ""
	}
}
