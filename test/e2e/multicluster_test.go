//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// everywhere makes a namespace of the same name in each of the clusters, part of the mesh in all.
func everywhere(t *testing.T, clusters ...*cluster) (namespace string) {
	t.Helper()
	namespace = clusters[0].labelled(t, inMesh)
	for _, c := range clusters[1:] {
		_, err := c.typed.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: inMesh},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.typed.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
		})
	}
	return namespace
}

// application runs a Service with one Pod, which has a sidecar, and returns where the Pod listens.
func (c *cluster) application(t *testing.T, namespace, name string) (endpoint string) {
	t.Helper()
	c.awaitMesh(t, defaultIstio())
	c.serve(t, namespace, name)
	return endpointOf(c.podWithSidecar(t, namespace, name, name))
}

// podWithSidecar runs a Pod of the application, which has a sidecar and is ready.
func (c *cluster) podWithSidecar(t *testing.T, namespace, app, name string) *corev1.Pod {
	t.Helper()
	pod := newPod(namespace, app, nil, nil)
	pod.Name = name
	c.awaitRevision(t, pod, defaultIstio().Revision())
	return c.runReady(t, pod)
}

// client is the sidecar of a Pod that calls others.
func (c *cluster) client(t *testing.T, namespace string) *mesh.Client {
	t.Helper()
	c.awaitMesh(t, defaultIstio())
	return c.sidecar(t, c.podWithSidecar(t, namespace, "client", "client"), defaultIstio())
}

// gatewayOf the peer, where its network is entered, as this cluster knows it.
func (c *cluster) gatewayOf(t *testing.T, peer *cluster) string {
	t.Helper()
	return c.publishedGateway(t, multiclusters, peer)
}

// publishedGateway is the peer's only one, as the status of the resource for the peer says.
func (c *cluster) publishedGateway(t *testing.T, of schema.GroupVersionResource, peer *cluster) string {
	t.Helper()
	resource, err := c.dynamic.Resource(of).Get(context.Background(), peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gateways, _, _ := unstructured.NestedSlice(resource.Object, "status", "metadataCache", "private", "ingressGateways")
	if len(gateways) != 1 {
		t.Fatalf("%s knows the gateways %v of %s, want one", c.name, gateways, peer.name)
	}
	gateway := gateways[0].(map[string]any)
	return net.JoinHostPort(text(gateway["address"]), strconv.FormatInt(gateway["port"].(int64), 10))
}

// enter the peer's network by its gateway, or without.
func (c *cluster) enter(t *testing.T, peer *cluster, byGateway bool) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"enableIngressGateway":%t}}`, byGateway)
	_, err := c.dynamic.Resource(multiclusters).Patch(context.Background(), peer.name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// sendsTo is the condition that requests for the host's port 80 are shared by these addresses.
func sendsTo(host string, addresses ...string) func(*mesh.View) string {
	slices.Sort(addresses)
	return func(view *mesh.View) string { return want(view.EndpointsOf(mesh.Outbound(80, "", host)))(addresses) }
}

func multiclusterEveryIstiodReadsTheOthersThroughTheirAPIProxies(t *testing.T) {
	l := meshOf(t)
	for _, pair := range [][2]*cluster{{l.a, l.b}, {l.b, l.a}} {
		c, peer := pair[0], pair[1]
		for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionAPI} {
			if status, reason, message := c.conditionOf(multiclusters, peer.name, condition); status != "True" {
				t.Errorf("%s says of %s: %s=%s %s: %s", c.name, peer.name, condition, status, reason, message)
			}
		}
		if missing := c.unread(peer); missing != "" {
			t.Error(missing)
		}
	}
}

func multiclusterTheAPIProxyIsReachedByItsPublicName(t *testing.T) {
	l := meshOf(t)
	caller, callee := l.a, l.b
	for name, test := range map[string]struct {
		path, token string
		want        int
	}{
		"a peer lists Services":                    {"/api/v1/services", caller.tokenForPeer(t, callee, authn.ScopeAPI), http.StatusOK},
		"a peer reads no ConfigMap":                {"/api/v1/namespaces/default/configmaps", caller.tokenForPeer(t, callee, authn.ScopeAPI), http.StatusForbidden},
		"a token for metadata is rejected":         {"/api/v1/services", caller.tokenForPeer(t, callee, authn.ScopePrivateMulticluster), http.StatusUnauthorized},
		"a caller that proves nothing is rejected": {"/api/v1/services", "", http.StatusUnauthorized},
		"a token for another one is rejected":      {"/api/v1/services", caller.tokenForPeer(t, l.stranger, authn.ScopeAPI), http.StatusUnauthorized},
		"a federated cluster's token is rejected":  {"/api/v1/services", l.stranger.tokenForPeer(t, callee, authn.ScopeAPI), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if status, err := askAPI(t, callee, test.path, test.token, nil); err != nil || status != test.want {
				t.Errorf("status %d (%v), want %d", status, err, test.want)
			}
		})
	}
}

// askAPI asks for the path at the cluster's API proxy; token and certificate may be missing.
func askAPI(t *testing.T, of *cluster, path, token string, certificate *tls.Certificate) (status int, err error) {
	t.Helper()
	transport := of.transport(t, certificate)
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, of.described(t).APIProxy+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: prompt}).Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// transport to the cluster's API proxy, with a certificate or without.
func (c *cluster) transport(t *testing.T, certificate *tls.Certificate) *http.Transport {
	t.Helper()
	ca, err := os.ReadFile(c.described(t).MetadataCA)
	if err != nil {
		t.Fatal(err)
	}
	configuration := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	configuration.RootCAs.AppendCertsFromPEM(ca)
	if certificate != nil {
		configuration.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Transport{TLSClientConfig: configuration, ForceAttemptHTTP2: true}
}

func multiclusterAClientCertificateOpensTheAPIProxyWhereTLSIsPassedThrough(t *testing.T) {
	l := meshOf(t)
	caller, callee := l.a, l.b
	certificate := caller.clientCertificate(t)
	t.Cleanup(func() { l.awaitPeers(t) })
	callee.reconfigure(t, map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}})
	eventually(t, restarted, "the certificate alone is enough", func() string {
		return want(askAPI(t, callee, "/version", "", certificate))(http.StatusOK)
	})
	caller.awaitInMesh(t, callee)
}

func multiclusterAServiceInSeveralClustersIsOne(t *testing.T) {
	l := meshOf(t)
	namespace := everywhere(t, l.a, l.b)
	host := l.a.hostname(t, namespace, "api")
	for _, c := range []*cluster{l.a, l.b} {
		c.awaitMesh(t, defaultIstio())
		c.serve(t, namespace, "api")
	}
	inA, inB := l.a.podWithSidecar(t, namespace, "api", "api-in-a"), l.b.podWithSidecar(t, namespace, "api", "api-in-b")
	own := l.a.spiffe(t, namespace, "default")
	for _, pair := range []struct {
		c, peer     *cluster
		here, there *corev1.Pod
	}{{l.a, l.b, inA, inB}, {l.b, l.a, inB, inA}} {
		pod := pair.c.podWithSidecar(t, namespace, "client", "client")
		awaitView(t, pair.c.sidecar(t, pod, defaultIstio()), pair.c.name+" sends to its own Pod and to its peer's gateway",
			sendsTo(host, endpointOf(pair.here), pair.c.gatewayOf(t, pair.peer)))
		for _, server := range []*corev1.Pod{pair.here, pair.there} {
			pair.c.awaitAnswer(t, server.Name+" answers requests of "+pair.c.name, pod, webURL(host), between(own, own, server.Name))
		}
	}
	if err := l.a.typed.CoreV1().Pods(namespace).Delete(context.Background(), inA.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	client := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "client"}}
	awaitView(t, l.a.sidecar(t, l.a.awaitReadyPod(t, client), defaultIstio()), "a sends to b alone", sendsTo(host, l.a.gatewayOf(t, l.b)))
	l.a.awaitAnswer(t, "b answers when a has no Pod of the Service", client, webURL(host), between(own, own, inB.Name))
}

func multiclusterAFlatPeerIsReachedAtItsPods(t *testing.T) {
	s := newSharedService(t)
	a, b, own := s.a, s.b, s.a.spiffe(t, s.namespace, "default")
	client := a.sidecar(t, s.caller.Pod, defaultIstio())
	byGateway := sendsTo(s.host, endpointOf(s.here), a.gatewayOf(t, b))
	awaitView(t, client, "the peer is entered by its gateway", byGateway)
	a.awaitAnswer(t, "its Pod answers through the gateway", s.caller.Pod, webURL(s.host), between(own, own, s.there.Name))

	t.Cleanup(func() { a.enter(t, b, true) })
	a.enter(t, b, false)
	awaitWithin(t, scheduled, client, "the peer's Pod is called directly", sendsTo(s.host, endpointOf(s.here), endpointOf(s.there)))
	a.awaitAnswer(t, "its Pod answers directly", s.caller.Pod, webURL(s.host), between(own, own, s.there.Name))
	s.sharesOut(t, "without gateways both clusters answer")
	a.enter(t, b, true)
	awaitWithin(t, scheduled, client, "the peer is entered by its gateway again", byGateway)
}

func multiclusterAPeerThatIsCutOffIsNotForgottenAndComesBack(t *testing.T) {
	l := meshOf(t)
	a, b := l.a, l.b
	namespace := everywhere(t, a, b)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host, client := a.hostname(t, namespace, "api"), a.client(t, namespace)
	both := sendsTo(host, own, a.gatewayOf(t, b))
	awaitView(t, client, "the Service has endpoints in both clusters", both)

	mend := l.cut(t)
	for _, pair := range [][2]*cluster{{a, b}, {b, a}} {
		eventually(t, scheduled, pair[0].name+" misses "+pair[1].name, func() string {
			status, reason, message := pair[0].conditionOf(multiclusters, pair[1].name, v1alpha1.ConditionReady)
			if status == "True" {
				return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
			}
			return ""
		})
	}
	awaitView(t, client, "unreachable is not gone", both)
	second := endpointOf(a.podWithSidecar(t, namespace, "api", "api-late"))
	awaitView(t, client, "this cluster's own changes arrive meanwhile", sendsTo(host, own, second, a.gatewayOf(t, b)))
	mend()
	a.awaitInMesh(t, b)
	b.awaitInMesh(t, a)
}
