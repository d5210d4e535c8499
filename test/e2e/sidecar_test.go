//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

func TestASidecarReachesTheServicesOfTheMesh(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	client := suite.a.run(t, newPod(namespace, "client", nil, nil))
	api := suite.a.run(t, newPod(namespace, "api", nil, nil))
	bare := suite.a.run(t, newPod(namespace, "legacy", map[string]string{"sidecar.istio.io/inject": "false"}, nil))
	apiHost, legacyHost := suite.a.serve(t, namespace, "api"), suite.a.serve(t, namespace, "legacy")
	raw, err := suite.a.typed.CoreV1().Services(namespace).Get(context.Background(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sidecar := suite.a.sidecar(t, client, defaultIstio())

	web := mesh.Outbound(80, "", apiHost)
	await(t, sidecar, "the Pod of the Service is its endpoint", func(view *mesh.View) string {
		return want(view.EndpointsOf(web))([]string{endpointOf(api)})
	})
	await(t, sidecar, "HTTP requests for the Service go to its Pods", func(view *mesh.View) string {
		return want(view.Split(apiHost, 80))(map[string]int{web: 100})
	})
	await(t, sidecar, "connections to its TCP port have a listener on its address", func(view *mesh.View) string {
		if name := raw.Spec.ClusterIP + "_9000"; view.Listeners[name] == nil {
			return "there is no listener " + name
		}
		return ""
	})
	await(t, sidecar, "the other sidecar is spoken to by mutual TLS, and must prove who it is", func(view *mesh.View) string {
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
	await(t, sidecar, "a Pod without a sidecar is spoken to in plaintext", func(view *mesh.View) string {
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

// want says how what was got differs from what is wanted.
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
	guarded := suite.a.sidecar(t, suite.a.run(t, newPod(namespace, "guarded", nil, nil)), defaultIstio())
	open := suite.a.sidecar(t, suite.a.run(t, newPod(namespace, "open", nil, nil)), defaultIstio())
	suite.a.serve(t, namespace, "guarded")
	suite.a.serve(t, namespace, "open")

	// Named so that neither the names nor the order of creation would put them right.
	for name, policy := range map[string]struct{ action, path string }{"a-readers": {"ALLOW", "/read"}, "b-intruders": {"DENY", "/admin"}} {
		suite.a.apply(t, authorizationPolicies, "AuthorizationPolicy", namespace, name, map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "guarded"}},
			"action":   policy.action,
			"rules":    []any{map[string]any{"to": []any{map[string]any{"operation": map[string]any{"paths": []any{policy.path}}}}}},
		})
	}
	rule := func(policy string) string { return fmt.Sprintf("ns[%s]-policy[%s]-rule[0]", namespace, policy) }
	await(t, guarded, "DENY comes first, then ALLOW", func(view *mesh.View) string {
		return want(view.InboundRulings(applicationPort))([]mesh.Ruling{
			{Action: "DENY", Policies: []string{rule("b-intruders")}}, {Action: "ALLOW", Policies: []string{rule("a-readers")}},
		})
	})
	await(t, open, "a workload that no policy selects is asked nothing", func(view *mesh.View) string {
		return want(view.InboundRulings(applicationPort))(nil)
	})
}

func TestAVirtualServiceSplitsTrafficAndADestinationRuleEjectsTheSick(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	host := suite.a.serve(t, namespace, "api")
	first := suite.a.run(t, newPod(namespace, "api", map[string]string{"version": "v1"}, nil))
	second := newPod(namespace, "api", map[string]string{"version": "v2"}, nil)
	second.Name = "api-next"
	second = suite.a.run(t, second)
	sidecar := suite.a.sidecar(t, suite.a.run(t, newPod(namespace, "client", nil, nil)), defaultIstio())

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
	await(t, sidecar, "requests are shared out by weight", func(view *mesh.View) string {
		return want(view.Split(host, 80))(map[string]int{v1: 80, v2: 20})
	})
	for cluster, pod := range map[string]*corev1.Pod{v1: first, v2: second} {
		await(t, sidecar, "a subset has its own Pods only", func(view *mesh.View) string {
			return want(view.EndpointsOf(cluster))([]string{endpointOf(pod)})
		})
		await(t, sidecar, "outliers are detected as the rule says", func(view *mesh.View) string {
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

func TestTheOutboundTrafficPolicyDecidesAboutTheUnknown(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	suite.a.serve(t, namespace, "api") // so that there are routes for port 80
	sidecar := suite.a.sidecar(t, suite.a.run(t, newPod(namespace, "client", nil, nil)), defaultIstio())
	for _, policy := range []struct{ mode, target string }{
		{"RegistryOnly", mesh.BlackHole},
		{"AllowAny", mesh.Passthrough},
	} {
		suite.a.reconfigure(t, map[string]any{"outboundTrafficPolicyMode": policy.mode})
		await(t, sidecar, "with "+policy.mode+" connections to unknown addresses go to "+policy.target, func(view *mesh.View) string {
			return want(view.UnknownTCP())(policy.target)
		})
		await(t, sidecar, "with "+policy.mode+" requests for unknown hosts go to "+policy.target, func(view *mesh.View) string {
			return want(view.UnknownHTTP(80))(policy.target)
		})
	}
}
