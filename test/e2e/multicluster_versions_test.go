//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
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

const apiProxyName = "api-proxy"

// TestMulticlusterEveryVersionOfIstiodReadsNeighbours installs all versions beside each other in one cluster.
func TestMulticlusterEveryVersionOfIstiodReadsNeighbours(t *testing.T) {
	l := meshed(t, multiclusterMode)
	a, b, c := l.clusters[0], l.clusters[1], l.clusters[2]
	namespace := everywhere(t, a, b, c)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host := a.hostname(t, namespace, "api")
	shared := sendsTo(host, own, a.gatewayOf(t, b))
	pod := a.meshedPod(t, namespace, "client", "client")

	logs := map[*cluster]int64{b: b.logged(t, apiProxyName), c: c.logged(t, apiProxyName)}
	var additional []any
	for _, version := range istioversion.All() {
		if version != defaultIstio() {
			additional = append(additional, version.Version)
		}
	}
	t.Cleanup(func() {
		for _, version := range istioversion.All() {
			if version != defaultIstio() {
				eventually(t, scheduled, "istiod "+version.Version+" goes", func() string { return a.gone(t, version) })
			}
		}
		l.awaitJoined(t)
	})
	a.reconfigure(t, map[string]any{"additionalVersions": additional})
	for _, version := range istioversion.All() {
		a.awaitMesh(t, version)
		await(t, a.sidecar(t, pod, version), "istiod "+version.Version+" knows the endpoints of both clusters", shared)
	}
	a.awaitMeshed(t, b)
	a.awaitMeshed(t, c)

	t.Run("and is refused nothing", func(t *testing.T) {
		for peer, offset := range logs {
			for _, line := range peer.refusedByProxy(t, offset, a.name) {
				t.Errorf("the API proxy of %s: %s", peer.name, line)
			}
		}
	})
	t.Run("and again when a kubeconfig was replaced", func(t *testing.T) {
		pids, keepOwn := map[istioversion.Version]int{}, []func(){}
		for _, version := range istioversion.All() {
			pids[version] = a.pid(t, istiodOf(version))
			if !readsAnew(version) {
				continue
			}
			sidecar := a.sidecar(t, pod, version)
			await(t, sidecar, "istiod "+version.Version+" knows the endpoints of both clusters", shared)
			keepOwn = append(keepOwn, never(t, sidecar, "istiod "+version.Version+" loses an endpoint of its own cluster", loses(host, own)))
		}
		unready := a.watchReadiness(t, istiodOf(defaultIstio()))
		before := a.remoteSecret(t, b)
		a.believeBesides(t, b, c.rootsPEM(t))
		eventually(t, prompt, "the kubeconfig is replaced", func() string {
			if bytes.Equal(a.remoteSecret(t, b), before) {
				return "it is as it was"
			}
			return ""
		})
		for _, version := range istioversion.All() {
			if readsAnew(version) {
				continue
			}
			eventually(t, restarted, "istiod "+version.Version+" is another one", func() string {
				if now := a.pid(t, istiodOf(version)); now == pids[version] || now == 0 {
					return fmt.Sprintf("its pid is %d", now)
				}
				return ""
			})
		}
		a.awaitMeshed(t, b)
		a.awaitMeshed(t, c)
		news := b.serviceFor(t, namespace, "news", "api")
		for _, version := range istioversion.All() {
			awaitWithin(t, scheduled, a.sidecar(t, pod, version), "istiod "+version.Version+" reads the neighbour",
				all(shared, sendsTo(news, a.gatewayOf(t, b))))
			if now := a.pid(t, istiodOf(version)); readsAnew(version) && now != pids[version] {
				t.Errorf("istiod %s was restarted: its pid was %d and is %d", version.Version, pids[version], now)
			}
		}
		for _, ended := range keepOwn {
			ended()
		}
		unready()
	})
}

func istiodOf(version istioversion.Version) string { return "istiod-" + version.Revision() }

// readsAnew tells which versions read a neighbour anew when its kubeconfig is replaced; the others have to be restarted.
func readsAnew(version istioversion.Version) bool {
	return version.Version == "1.25" || version.Version == "1.27"
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

// never watches the sidecar until it is told to end, and fails when the condition was true meanwhile.
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

// watchReadiness until it is told to end, and fail when the Deployment had no ready Pod meanwhile.
func (c *cluster) watchReadiness(t *testing.T, deployment string) (end func()) {
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

// remoteSecret is the kubeconfig with which the cluster's istiods read the peer.
func (c *cluster) remoteSecret(t *testing.T, peer *cluster) []byte {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "istio-remote-secret-"+peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data[peer.name]
}

// believeBesides adds authorities to those that the peer's HTTPS certificate is verified with, as one does before the
// peer changes its own. After the test they are again what they were.
func (c *cluster) believeBesides(t *testing.T, peer *cluster, roots string) {
	t.Helper()
	resource, err := c.dynamic.Resource(multiclusters).Get(context.Background(), peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	present, _, _ := unstructured.NestedString(resource.Object, "spec", "metadata", "ca")
	believe := func(bundle string) {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"metadata": map[string]any{"ca": bundle}}})
		if err == nil {
			_, err = c.dynamic.Resource(multiclusters).Patch(context.Background(), peer.name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if err != nil {
			t.Errorf("change the authorities in IstioMulticluster %s of %s: %v", peer.name, c.name, err)
		}
	}
	t.Cleanup(func() {
		replaced := c.remoteSecret(t, peer)
		believe(present)
		eventually(t, prompt, "the kubeconfig is replaced again", func() string {
			if bytes.Equal(c.remoteSecret(t, peer), replaced) {
				return "it is as it was"
			}
			return ""
		})
		c.awaitMeshed(t, peer)
	})
	believe(present + "\n" + roots)
}

// logFile of a process of the cluster.
func (c *cluster) logFile(t *testing.T, process string) string {
	t.Helper()
	for _, found := range c.described(t).Processes {
		if found.Name == process {
			return found.Log
		}
	}
	t.Fatalf("lab.json has no process %s of %s", process, c.name)
	return ""
}

// logged is how many bytes of log the process has written.
func (c *cluster) logged(t *testing.T, process string) int64 {
	t.Helper()
	file, err := os.Stat(c.logFile(t, process))
	if err != nil {
		t.Fatal(err)
	}
	return file.Size()
}

// refusedByProxy are the audit lines since the offset about requests of the peer.
func (c *cluster) refusedByProxy(t *testing.T, offset int64, peer string) []string {
	t.Helper()
	log, err := os.ReadFile(c.logFile(t, apiProxyName))
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for line := range strings.Lines(string(log[offset:])) {
		var entry struct {
			Message string `json:"msg"`
			Peer    string `json:"peer"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log of the API proxy of %s has a line that is no JSON: %s", c.name, line)
		}
		if entry.Message == "refused a request" && entry.Peer == peer {
			refused = append(refused, strings.TrimSpace(line))
		}
	}
	return refused
}
