//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// multiclusterEveryVersionOfIstiodReadsPeers installs all versions beside each other in one cluster.
func multiclusterEveryVersionOfIstiodReadsPeers(t *testing.T) {
	l := meshOf(t)
	a, b := l.a, l.b
	namespace := everywhere(t, a, b)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host := a.hostname(t, namespace, "api")
	shared := sendsTo(host, own, a.gatewayOf(t, b))
	pod := a.podWithSidecar(t, namespace, "client", "client")

	before := b.rejectedByProxy(t)
	t.Cleanup(func() {
		for _, version := range istioversion.All() {
			if version != defaultIstio() {
				eventually(t, scheduled, "istiod "+version.Version+" goes", func() string { return a.gone(version) })
			}
		}
		l.awaitPeers(t)
	})
	a.installEveryVersion(t)
	for _, version := range istioversion.All() {
		awaitView(t, a.sidecar(t, pod, version), "istiod "+version.Version+" knows the endpoints of both clusters", shared)
	}
	a.awaitInMesh(t, b)

	t.Run("and nothing is rejected", func(t *testing.T) {
		now := b.rejectedByProxy(t)
		for _, line := range now[min(len(before), len(now)):] {
			t.Errorf("the API proxy of %s: %s", b.name, line)
		}
	})
	t.Run("and again when a kubeconfig was replaced", func(t *testing.T) {
		var kept []func()
		for _, version := range istioversion.All() {
			if readsAnew(t, version) {
				sidecar, of := a.sidecar(t, pod, version), "istiod "+version.Version
				awaitView(t, sidecar, of+" knows the endpoints of both clusters", shared)
				kept = append(kept, a.mustRun(t, istiodOf(version)),
					never(t, sidecar, of+" loses an endpoint of its own cluster", loses(host, own)),
					never(t, sidecar, of+" loses the peer's endpoints", loses(host, a.gatewayOf(t, b))))
			}
		}
		keepReady := a.alwaysReady(t, istiodOf(defaultIstio()).name)

		a.trustBesides(t, b, l.stranger.rootsPEM(t))
		later := b.serviceFor(t, namespace, "later", "api")
		for _, version := range istioversion.All() {
			awaitWithin(t, scheduled, a.sidecar(t, pod, version), "istiod "+version.Version+" reads the peer",
				all(shared, sendsTo(later, a.gatewayOf(t, b))))
		}
		for _, end := range kept {
			end()
		}
		keepReady()
	})
}

// readsAnew lists the versions that, as the lab runs them, read a peer again when its kubeconfig is replaced; the others
// have to be restarted.
func readsAnew(t *testing.T, version istioversion.Version) bool {
	t.Helper()
	restart, err := istioversion.NeedsRestartOnReplacedKubeconfig(version.ModuleFull())
	if err != nil {
		t.Fatal(err)
	}
	return !restart
}

// loses is the condition that a request for the host's port 80 cannot go to the address.
func loses(host, address string) func(*mesh.View) string {
	return func(view *mesh.View) string {
		addresses, err := view.EndpointsOf(mesh.Outbound(80, "", host))
		if err == nil && slices.Contains(addresses, address) {
			return "it is among " + strings.Join(addresses, ", ")
		}
		return ""
	}
}

// never watches the sidecar until end is called, and fails when the condition was true meanwhile.
func never(t *testing.T, sidecar *mesh.Client, what string, condition func(*mesh.View) string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := sidecar.Await(ctx, condition)
		result <- err
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-result; err == nil {
			t.Error(what)
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("it is not known whether %s: %v", what, err)
		}
	}
}

// alwaysReady watches the Deployment until end is called, and fails when it had no ready Pod meanwhile.
func (c *cluster) alwaysReady(t *testing.T, deployment string) (end func()) {
	t.Helper()
	deployments := c.typed.AppsV1().Deployments(moduleNamespace)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	watch, err := deployments.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + deployment})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan string, 1)
	go func() {
		missing := ""
		for event := range watch.ResultChan() {
			found, ok := event.Object.(*appsv1.Deployment)
			if ok && found.Status.ReadyReplicas == 0 || !ok && ctx.Err() == nil {
				missing = fmt.Sprintf("%s of %v", event.Type, event.Object)
			}
		}
		result <- missing
	}()
	return func() {
		t.Helper()
		cancel()
		watch.Stop()
		if missing := <-result; missing != "" {
			t.Errorf("%s had no ready Pod for a while: %.500s", deployment, missing)
		}
	}
}

// remoteKubeconfig is what the cluster's istiods read the peer with.
func (c *cluster) remoteKubeconfig(t *testing.T, peer *cluster) []byte {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "istio-remote-secret-"+peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data[peer.name]
}

// trustBesides adds authorities to those that the peer's HTTPS certificate is verified with, as one does before the
// peer changes its own, and waits until every istiod reads the peer with a kubeconfig that has them. After the test all
// is again as it was.
func (c *cluster) trustBesides(t *testing.T, peer *cluster, roots string) {
	t.Helper()
	resource, err := c.dynamic.Resource(multiclusters).Get(context.Background(), peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	present, _, _ := unstructured.NestedString(resource.Object, "spec", "metadata", "ca")
	t.Cleanup(func() { c.trust(t, peer, present) })
	c.trust(t, peer, present+"\n"+roots)
}

// trust these authorities for the peer's HTTPS certificate.
func (c *cluster) trust(t *testing.T, peer *cluster, bundle string) {
	t.Helper()
	former, restarts := c.remoteKubeconfig(t, peer), map[component]string{}
	for _, version := range c.installedVersions() {
		if !readsAnew(t, version) {
			restarts[istiodOf(version)] = c.running(t, istiodOf(version))
		}
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"metadata": map[string]any{"ca": bundle}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.dynamic.Resource(multiclusters).Patch(context.Background(), peer.name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("change the authorities in IstioMulticluster %s of %s: %v", peer.name, c.name, err)
	}
	eventually(t, prompt, "the kubeconfig for "+peer.name+" is replaced", func() string {
		if bytes.Equal(c.remoteKubeconfig(t, peer), former) {
			return "it is as it was"
		}
		return ""
	})
	for istiod, running := range restarts {
		c.awaitAnother(t, istiod, running)
	}
	c.awaitInMesh(t, peer)
}

// rejectedByProxy are the lines about rejected requests, from any caller, that the cluster's API proxy has logged by now.
func (c *cluster) rejectedByProxy(t *testing.T) (rejected []string) {
	t.Helper()
	for line := range strings.Lines(c.logs(t, apiProxy)) {
		var entry struct {
			Message string `json:"msg"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log of the API proxy of %s has a line that is no JSON: %s", c.name, line)
		}
		if entry.Message == rejectionMessage {
			rejected = append(rejected, strings.TrimSpace(line))
		}
	}
	return rejected
}

// rejectionMessage is what the API proxy logs of a request that it rejects.
const rejectionMessage = "rejected a request"
