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

// readyInLab has the lab say that a Pod is ready, of which it runs nothing.
var readyInLab = map[string]string{"lab.istio.deckhouse.io/ready": "true"}

// application runs a Service with one Pod, which has a sidecar, and returns where the Pod listens.
func (c *cluster) application(t *testing.T, namespace, name string) (endpoint string) {
	t.Helper()
	c.awaitMesh(t, defaultIstio())
	c.serve(t, namespace, name)
	return endpointOf(c.meshedPod(t, namespace, name, name))
}

// meshedPod runs a Pod of the application, which has a sidecar and is ready.
func (c *cluster) meshedPod(t *testing.T, namespace, app, name string) *corev1.Pod {
	t.Helper()
	pod := newPod(namespace, app, nil, readyInLab)
	pod.Name = name
	c.awaitRevision(t, pod, defaultIstio().Revision())
	return c.run(t, pod)
}

// client is the sidecar of a Pod that calls others.
func (c *cluster) client(t *testing.T, namespace string) *mesh.Client {
	t.Helper()
	c.awaitMesh(t, defaultIstio())
	return c.sidecar(t, c.meshedPod(t, namespace, "client", "client"), defaultIstio())
}

// gatewayOf the peer, where its network is entered, as this cluster was told.
func (c *cluster) gatewayOf(t *testing.T, peer *cluster) string {
	t.Helper()
	return c.toldGateway(t, multiclusters, peer)
}

// toldGateway is the peer's only one, as the status of the resource for the peer says.
func (c *cluster) toldGateway(t *testing.T, of schema.GroupVersionResource, peer *cluster) string {
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
	l := meshed(t, multiclusterMode)
	for _, c := range l.clusters {
		for _, peer := range l.clusters {
			if c == peer {
				continue
			}
			for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionAPI} {
				if status, reason, message := c.conditionOf(multiclusters, peer.name, condition); status != "True" {
					t.Errorf("%s says of %s: %s=%s %s: %s", c.name, peer.name, condition, status, reason, message)
				}
			}
			if missing := c.unread(t, peer); missing != "" {
				t.Error(missing)
			}
		}
	}
}

func multiclusterTheAPIProxyIsReachedAtTheAddressOfTheLab(t *testing.T) {
	l := meshed(t, multiclusterMode)
	caller, callee := l.clusters[0], l.clusters[1]
	for name, test := range map[string]struct {
		path, token string
		want        int
	}{
		"a neighbour lists Services":         {"/api/v1/services", caller.tokenForPeer(t, callee, authn.ScopeAPI), http.StatusOK},
		"a neighbour reads no ConfigMap":     {"/api/v1/namespaces/default/configmaps", caller.tokenForPeer(t, callee, authn.ScopeAPI), http.StatusForbidden},
		"a token for metadata is refused":    {"/api/v1/services", caller.tokenForPeer(t, callee, authn.ScopePrivateMulticluster), http.StatusUnauthorized},
		"whoever proves nothing is refused":  {"/api/v1/services", "", http.StatusUnauthorized},
		"a token for another one is refused": {"/api/v1/services", caller.tokenForPeer(t, l.clusters[2], authn.ScopeAPI), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if status, err := askAPI(t, callee, test.path, test.token, nil); err != nil || status != test.want {
				t.Errorf("status %d (%v), want %d", status, err, test.want)
			}
		})
	}
}

// askAPI asks for the path at the cluster's API proxy, by the address in lab.json; token and certificate may be missing.
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
	l := meshed(t, multiclusterMode)
	caller, callee := l.clusters[0], l.clusters[1]
	certificate := caller.clientCertificate(t)
	t.Cleanup(func() { l.awaitJoined(t) })
	callee.reconfigure(t, map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}})
	eventually(t, restarted, "the certificate alone is enough", func() string {
		return want(askAPI(t, callee, "/version", "", certificate))(http.StatusOK)
	})
	caller.awaitMeshed(t, callee)
}

func multiclusterAServiceInSeveralClustersIsOne(t *testing.T) {
	l := meshed(t, multiclusterMode)
	a, b, c := l.clusters[0], l.clusters[1], l.clusters[2]
	namespace := everywhere(t, a, b, c)
	endpoints := map[*cluster]string{}
	for _, one := range []*cluster{a, b, c} {
		endpoints[one] = one.application(t, namespace, "api")
	}
	host := a.hostname(t, namespace, "api")
	await(t, a.client(t, namespace), "a sends to its own Pod and to the gateways of b and c",
		sendsTo(host, endpoints[a], a.gatewayOf(t, b), a.gatewayOf(t, c)))
	await(t, c.client(t, namespace), "c sends to its own Pod and to the gateways of a and b",
		sendsTo(host, endpoints[c], c.gatewayOf(t, a), c.gatewayOf(t, b)))
}

func multiclusterAFlatNeighbourIsReachedAtItsPods(t *testing.T) {
	l := meshed(t, multiclusterMode)
	a, b, c := l.clusters[0], l.clusters[1], l.clusters[2]
	namespace := everywhere(t, a, b, c)
	own, flat := a.application(t, namespace, "api"), b.application(t, namespace, "api")
	c.application(t, namespace, "api")
	host, client := a.hostname(t, namespace, "api"), a.client(t, namespace)
	byGateways := sendsTo(host, own, a.gatewayOf(t, b), a.gatewayOf(t, c))
	await(t, client, "both neighbours are entered by their gateways", byGateways)

	t.Cleanup(func() { a.enter(t, b, true) })
	a.enter(t, b, false)
	awaitWithin(t, scheduled, client, "b's Pod is called directly, c's by the gateway", sendsTo(host, own, flat, a.gatewayOf(t, c)))
	a.enter(t, b, true)
	awaitWithin(t, scheduled, client, "both neighbours are entered by their gateways again", byGateways)
}

func multiclusterANeighbourThatIsCutOffIsNotForgottenAndComesBack(t *testing.T) {
	l := meshed(t, multiclusterMode)
	a, b := l.clusters[0], l.clusters[1]
	namespace := everywhere(t, a, b)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host, client := a.hostname(t, namespace, "api"), a.client(t, namespace)
	both := sendsTo(host, own, a.gatewayOf(t, b))
	await(t, client, "the Service has endpoints in both clusters", both)

	restore := l.cut(t, b)
	for _, pair := range [][2]*cluster{{a, b}, {b, a}} {
		eventually(t, scheduled, pair[0].name+" misses "+pair[1].name, func() string {
			status, reason, message := pair[0].conditionOf(multiclusters, pair[1].name, v1alpha1.ConditionReady)
			if status == "True" {
				return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
			}
			return ""
		})
	}
	await(t, client, "unreachable is not gone", both)
	second := endpointOf(a.meshedPod(t, namespace, "api", "api-late"))
	await(t, client, "this cluster's own changes arrive meanwhile", sendsTo(host, own, second, a.gatewayOf(t, b)))
	restore()
	a.awaitMeshed(t, b)
	b.awaitMeshed(t, a)
}
