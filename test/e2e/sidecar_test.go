//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

func TestASidecarReachesTheServicesOfTheMesh(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	client, api := suite.a.run(t, newPod(namespace, "client", nil, nil)), suite.a.run(t, newPod(namespace, "api", nil, nil))
	bare := suite.a.run(t, newPod(namespace, "legacy", map[string]string{"sidecar.istio.io/inject": "false"}, nil))
	client, api, bare = suite.a.awaitReadyPod(t, client), suite.a.awaitReadyPod(t, api), suite.a.awaitReadyPod(t, bare)
	apiHost, legacyHost := suite.a.serve(t, namespace, "api"), suite.a.serve(t, namespace, "legacy")
	raw, err := suite.a.typed.CoreV1().Services(namespace).Get(context.Background(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sidecar, own := suite.a.sidecar(t, client, defaultIstio()), suite.a.spiffe(t, namespace, "default")

	suite.a.awaitAnswer(t, "both sidecars prove who they are", client, webURL(apiHost), between(own, own, api.Name))
	suite.a.awaitAnswer(t, "a TCP port answers", client, rawURL(apiHost), by(api.Name))
	suite.a.awaitAnswer(t, "a Pod without a sidecar answers in plaintext", client, webURL(legacyHost), between("", "", bare.Name))
	suite.a.awaitAnswer(t, "and is answered in plaintext", bare, webURL(apiHost), between("", "", api.Name))

	web := mesh.Outbound(80, "", apiHost)
	awaitView(t, sidecar, "the Pod of the Service is its endpoint", func(view *mesh.View) string {
		return want(view.EndpointsOf(web))([]string{endpointOf(api)})
	})
	awaitView(t, sidecar, "HTTP requests for the Service go to its Pods", func(view *mesh.View) string {
		return want(view.Split(apiHost, 80))(map[string]int{web: 100})
	})
	awaitView(t, sidecar, "connections to its TCP port have a listener on its address", func(view *mesh.View) string {
		if name := raw.Spec.ClusterIP + "_9000"; view.Listeners[name] == nil {
			return "there is no listener " + name
		}
		return ""
	})
	awaitView(t, sidecar, "the other sidecar is spoken to by mutual TLS, and must prove who it is", func(view *mesh.View) string {
		handshake, err := view.Handshake(web, endpointOf(api))
		if err != nil {
			return err.Error()
		}
		handshake.ALPN = nil // Istio's own business
		return want(handshake, nil)(mesh.Handshake{
			TLS: true, SNI: "outbound_.80_._." + apiHost, Certificate: "default", Roots: "ROOTCA",
			Identities: []string{suite.a.spiffe(t, namespace, "default")},
		})
	})
	awaitView(t, sidecar, "a Pod without a sidecar is spoken to in plaintext", func(view *mesh.View) string {
		return want(view.Handshake(mesh.Outbound(80, "", legacyHost), endpointOf(bare)))(mesh.Handshake{})
	})
}

// endpointOf is where the application of a Pod listens.
func endpointOf(pod *corev1.Pod) string {
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(applicationPort))
}

// spiffe is the identity of a ServiceAccount.
func (c *cluster) spiffe(t *testing.T, namespace, account string) string {
	t.Helper()
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", c.described(t).ClusterDomain, namespace, account)
}

// want returns how the answer differs from the expected one.
func want[T any](got T, err error) func(wanted T) (missing string) {
	return func(wanted T) string {
		switch {
		case err != nil:
			return err.Error()
		case !reflect.DeepEqual(got, wanted):
			return fmt.Sprintf("it is %+v, not %+v", got, wanted)
		}
		return ""
	}
}

func TestDenyingPoliciesAreAskedBeforeAllowingOnes(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	client := suite.a.run(t, newPod(namespace, "client", nil, nil))
	hosts := map[string]string{}
	for _, name := range []string{"guarded", "open"} {
		suite.a.run(t, newPod(namespace, name, nil, nil))
		hosts[name] = suite.a.serve(t, namespace, name)
	}
	client = suite.a.awaitReadyPod(t, client)

	// Named so that neither the names nor the order of creation would put them right.
	for name, policy := range map[string]struct {
		action string
		paths  []any
	}{"a-readers": {"ALLOW", []any{"/read", "/admin"}}, "b-intruders": {"DENY", []any{"/admin"}}} {
		suite.a.apply(t, authorizationPolicies, "AuthorizationPolicy", namespace, name, map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "guarded"}},
			"action":   policy.action,
			"rules":    []any{map[string]any{"to": []any{map[string]any{"operation": map[string]any{"paths": policy.paths}}}}},
		})
	}
	for _, test := range []struct {
		what, server, path string
		status             int
	}{
		{"what both policies name is denied", "guarded", "admin", http.StatusForbidden},
		{"what one allows and none denies is answered", "guarded", "read", http.StatusOK},
		{"what none allows is denied", "guarded", "else", http.StatusForbidden},
		{"where no policy is, all is answered", "open", "admin", http.StatusOK},
	} {
		suite.a.awaitAnswer(t, test.what, client, webURL(hosts[test.server])+test.path, httpStatus(test.status))
	}
}

func TestAVirtualServiceSplitsTrafficAndADestinationRuleEjectsTheSick(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	host := suite.a.serve(t, namespace, "api")
	first := suite.a.run(t, newPod(namespace, "api", map[string]string{"version": "v1"}, nil))
	second := newPod(namespace, "api", map[string]string{"version": "v2"}, nil)
	second.Name = "api-next"
	second = suite.a.run(t, second)
	client := suite.a.run(t, newPod(namespace, "client", nil, nil))
	sidecar := suite.a.sidecar(t, client, defaultIstio())

	subset := func(name string) map[string]any {
		return map[string]any{"name": name, "labels": map[string]any{"version": name}}
	}
	suite.a.apply(t, destinationRules, "DestinationRule", namespace, "api", map[string]any{
		"host": host, "subsets": []any{subset("v1"), subset("v2")},
		"trafficPolicy": map[string]any{"outlierDetection": map[string]any{
			"consecutive5xxErrors": int64(3), "interval": "7s", "baseEjectionTime": "11s", "maxEjectionPercent": int64(50),
		}},
	})
	share := func(subset string, weight int64) map[string]any {
		return map[string]any{"destination": map[string]any{"host": host, "subset": subset}, "weight": weight}
	}
	suite.a.apply(t, virtualServices, "VirtualService", namespace, "api", map[string]any{
		"hosts": []any{host}, "http": []any{map[string]any{"route": []any{share("v1", 80), share("v2", 20)}}},
	})

	v1, v2 := mesh.Outbound(80, "v1", host), mesh.Outbound(80, "v2", host)
	awaitView(t, sidecar, "requests are shared out by weight", func(view *mesh.View) string {
		return want(view.Split(host, 80))(map[string]int{v1: 80, v2: 20})
	})
	first, second, client = suite.a.awaitReadyPod(t, first), suite.a.awaitReadyPod(t, second), suite.a.awaitReadyPod(t, client)
	eventually(t, prompt, "of 50 requests the greater part is answered by the first, the rest by the second", func() string {
		answers, err := suite.a.callAll(client, webURL(host), "--count=50")
		if err != nil {
			return err.Error()
		}
		counts := map[string]int{}
		for _, one := range answers {
			counts[one.pod]++
		}
		if counts[second.Name] == 0 || counts[first.Name] <= counts[second.Name] || counts[first.Name]+counts[second.Name] != len(answers) {
			return fmt.Sprintf("they are answered by %v", counts)
		}
		return ""
	})
	for cluster, pod := range map[string]*corev1.Pod{v1: first, v2: second} {
		awaitView(t, sidecar, "a subset has its own Pods only", func(view *mesh.View) string {
			return want(view.EndpointsOf(cluster))([]string{endpointOf(pod)})
		})
		awaitView(t, sidecar, "outliers are detected as the rule says", func(view *mesh.View) string {
			return want(outliers(view.Cluster(cluster)))(outlierRule{errors: 3, percent: 50, interval: 7, ejection: 11})
		})
	}
}

// outlierRule is Envoy's outlier detection; times are in seconds.
type outlierRule struct {
	errors, percent    uint32
	interval, ejection int64
}

func outliers(cluster *clusterv3.Cluster, err error) (outlierRule, error) {
	detection := cluster.GetOutlierDetection()
	return outlierRule{
		errors: detection.GetConsecutive_5Xx().GetValue(), percent: detection.GetMaxEjectionPercent().GetValue(),
		interval: detection.GetInterval().GetSeconds(), ejection: detection.GetBaseEjectionTime().GetSeconds(),
	}, err
}

func TestTheOutboundTrafficPolicyDecidesAboutUnknownHosts(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	suite.a.serve(t, namespace, "api") // so that there are routes for port 80
	client := suite.a.runReady(t, newPod(namespace, "client", nil, nil))
	sidecar := suite.a.sidecar(t, client, defaultIstio())
	outside := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Hostname=outside")
	}))
	_ = outside.Listener.Close()
	outside.Listener = listenInFabric(t)
	outside.Start()
	t.Cleanup(outside.Close)
	for _, policy := range []struct {
		mode, target string
		answered     bool
	}{
		{"RegistryOnly", mesh.BlackHole, false},
		{"AllowAny", mesh.Passthrough, true},
	} {
		suite.a.reconfigure(t, map[string]any{"outboundTrafficPolicyMode": policy.mode})
		eventually(t, prompt, fmt.Sprintf("with %s a server outside of the mesh answers: %t", policy.mode, policy.answered), func() string {
			if policy.answered {
				return suite.a.answers(client, outside.URL, by("outside"))
			}
			return suite.a.isRejected(client, outside.URL)
		})
		// A Service that every cluster publishes.
		of := suite.b.described(t)
		suite.a.awaitAnswer(t, "with "+policy.mode+" a peer's Service answers", client, webURL(healthcheck.Hostname(of.ClusterUUID, of.ClusterDomain)),
			httpStatus(http.StatusOK))
		awaitView(t, sidecar, "with "+policy.mode+" requests for unknown hosts go to "+policy.target, func(view *mesh.View) string {
			return want(view.UnknownHTTP(80))(policy.target)
		})
	}
}
