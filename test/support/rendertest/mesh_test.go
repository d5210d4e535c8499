package rendertest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	istionetworking "istio.io/api/networking/v1alpha3"
	istiosecurity "istio.io/api/security/v1beta1"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/meshconfig"
)

// tracingProvider is the module's own extension provider; openapi/config-values.yaml keeps its name from people's.
const tracingProvider = "d8-tracing"

// tracerPort is the collector's in the name of the cluster that tracers use; no Service has it.
const tracerPort = 1

// meshConfig reads the mesh ConfigMap as istiod does, but rejects unknown fields.
func meshConfig(t *testing.T, objects Objects, revision string) *meshv1alpha1.MeshConfig {
	t.Helper()
	data := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/istio-"+revision).Data
	encoded, err := yaml.YAMLToJSON([]byte(data["mesh"]))
	if err != nil {
		t.Fatal(err)
	}
	mesh := &meshv1alpha1.MeshConfig{}
	if err := protojson.Unmarshal(encoded, mesh); err != nil {
		t.Fatalf("mesh configuration of %s: %v\n%s", revision, err, data["mesh"])
	}
	return mesh
}

func TestMeshConfig(t *testing.T) {
	objects := load(t).render(t, `
outboundTrafficPolicyMode: RegistryOnly
dataPlane: {proxyConfig: {holdApplicationUntilProxyStarts: true, idleTimeout: 5m}}
extensionProviders: [{name: authz, envoyExtAuthzHttp: {service: authz.auth.svc.cluster-a.local, port: 4180}}]
`, nil)
	for _, revision := range revisions {
		mesh := meshConfig(t, objects, revision)
		proxy := mesh.GetDefaultConfig()
		for what, equal := range map[string]bool{
			"trust domain":        mesh.GetTrustDomain() == "cluster-a.local",
			"root namespace":      mesh.GetRootNamespace() == "d8-istio",
			"outgoing traffic":    mesh.GetOutboundTrafficPolicy().GetMode() == meshv1alpha1.MeshConfig_OutboundTrafficPolicy_REGISTRY_ONLY,
			"discovery":           proxy.GetDiscoveryAddress() == "istiod-"+revision+".d8-istio.svc:15012",
			"holding application": proxy.GetHoldApplicationUntilProxyStarts().GetValue(),
			"idle timeout":        proxy.GetProxyMetadata()["ISTIO_META_IDLE_TIMEOUT"] == "5m",
			"DNS":                 proxy.GetProxyMetadata()["ISTIO_META_DNS_CAPTURE"] == "true",
			"provider":            mesh.GetExtensionProviders()[0].GetEnvoyExtAuthzHttp().GetPort() == 4180,
		} {
			if !equal {
				t.Errorf("%s of %s is not as the settings say: %v", what, revision, mesh)
			}
		}
	}
}

// TestTrustInPeers: every version is given the anchors of every peer, one certificate an entry, and never a root.
func TestTrustInPeers(t *testing.T) {
	m := load(t)
	peers := func(v Values) {
		v.Set([]any{
			map[string]any{"name": "b", "trustDomain": "cluster-b.local", "anchors": []any{"first of b\n", "second of b\n"}},
			map[string]any{"name": "c", "trustDomain": "cluster-c.local", "anchors": []any{"of c\n"}},
			map[string]any{"name": "d", "trustDomain": "cluster-d.local", "anchors": []any{}},
		}, "istio", "internal", "federations")
	}
	for _, test := range []struct {
		name, settings string
		change         func(Values)
		wanted         []string
	}{
		{"of all peers", federation, peers, []string{"first of b\n[cluster-b.local]", "second of b\n[cluster-b.local]", "of c\n[cluster-c.local]"}},
		{"of nobody without federation, whatever is known", "{}", peers, nil},
		{"of nobody without peers", federation, func(v Values) { v.Set([]any{}, "istio", "internal", "federations") }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for _, revision := range revisions {
				var got []string
				for _, anchor := range meshConfig(t, objects, revision).GetCaCertificates() {
					got = append(got, fmt.Sprintf("%s%v", anchor.GetPem(), anchor.GetTrustDomains()))
				}
				if !slices.Equal(got, test.wanted) {
					t.Errorf("%s trusts %q, want %q", revision, got, test.wanted)
				}
			}
		})
	}
	before, after := m.render(t, federation, nil), m.render(t, federation, peers)
	for _, revision := range revisions {
		if name := "Deployment/istiod-" + revision; !reflect.DeepEqual(before[name], after[name]) {
			t.Errorf("%s changes with the anchors, so istiod would restart", name)
		}
	}
}

// TestWithdrawnTrustIsWhatHelmRenders: what a hook removes before Helm does leaves Helm nothing to change, in all
// versions, and all that is rendered of peers is known to the hook.
func TestWithdrawnTrustIsWhatHelmRenders(t *testing.T) {
	m := load(t)
	const settings = "{federation: {enabled: true}, multicluster: {enabled: true}, dataPlane: {accessLog: {type: JSON}}}"
	peers := func(federated, ofOneMesh bool) Objects {
		return m.render(t, settings, func(v Values) {
			federations, multiclusters := []any{}, []any{}
			if federated {
				federations = append(federations, map[string]any{"name": "b", "trustDomain": "cluster-b.local", "anchors": []any{"of b\nand its second line\n"}})
			}
			if ofOneMesh {
				multiclusters = append(multiclusters, map[string]any{
					"name": "m", "trustDomain": "cluster-a.local", "networkName": "", "ingressGateways": []any{}, "anchors": []any{"of m\n"},
				})
			}
			v.Set(federations, "istio", "internal", "federations")
			v.Set(multiclusters, "istio", "internal", "multiclusters")
		})
	}
	b := meshconfig.CACertificate{PEM: "of b\nand its second line\n", TrustDomains: []string{"cluster-b.local"}}
	ofM := meshconfig.CACertificate{PEM: "of m\n"}
	for _, test := range []struct {
		name                 string
		federated, ofOneMesh bool
		wanted               []meshconfig.CACertificate
	}{
		{"of nobody", true, true, []meshconfig.CACertificate{b, ofM}},
		{"of a federated peer", false, true, []meshconfig.CACertificate{ofM}},
		{"of a cluster of the same mesh", true, false, []meshconfig.CACertificate{b}},
		{"of all peers", false, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := peers(true, true), peers(test.federated, test.ofOneMesh)
			for _, revision := range revisions {
				trusting, wanted := meshText(t, before, revision), meshText(t, after, revision)
				if without, _, err := meshconfig.Withdraw(trusting, test.wanted); err != nil || without != wanted {
					t.Errorf("%s: error %v, and the hook writes\n%s\nand Helm\n%s", revision, err, without, wanted)
				}
			}
		})
	}
}

func meshText(t *testing.T, objects Objects, revision string) string {
	t.Helper()
	return mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/istio-"+revision).Data["mesh"]
}

func TestAWithdrawalOfTrustChangesTheManifests(t *testing.T) {
	const annotation, withdrawn = "istio.deckhouse.io/trust-withdrawn", "2026-11-22T12:00:10.000Z"
	m := load(t)
	before := m.render(t, "{}", nil)
	after := m.render(t, "{}", func(values Values) { values.Set(withdrawn, "istio", "internal", "trustWithdrawn") })
	for _, revision := range revisions {
		name := "ConfigMap/istio-" + revision
		if shown, ok := before[name].GetAnnotations()[annotation]; ok {
			t.Errorf("without any, %s shows %q", name, shown)
		}
		if shown := after[name].GetAnnotations()[annotation]; shown != withdrawn {
			t.Errorf("%s shows %q, want %q", name, shown, withdrawn)
		}
	}
}

func TestTLSMode(t *testing.T) {
	m := load(t)
	for setting, wanted := range map[string]istiosecurity.PeerAuthentication_MutualTLS_Mode{
		`"Off"`:            istiosecurity.PeerAuthentication_MutualTLS_DISABLE,
		"MutualPermissive": istiosecurity.PeerAuthentication_MutualTLS_PERMISSIVE,
		"Mutual":           istiosecurity.PeerAuthentication_MutualTLS_STRICT,
	} {
		object := mustDecode[*securityv1.PeerAuthentication](t, m.render(t, "tlsMode: "+setting, nil), "PeerAuthentication/default")
		if got := object.Spec.GetMtls().GetMode(); got != wanted || object.Spec.GetSelector() != nil || object.Namespace != "d8-istio" {
			t.Errorf("tlsMode %s makes %v of the whole mesh, want %v", setting, got, wanted)
		}
	}
}

func TestTracing(t *testing.T) {
	m := load(t)
	for _, test := range []struct {
		name, address, service string
		entry                  istionetworking.ServiceEntry_Resolution // NONE: there is no ServiceEntry
		endpoint               string
	}{
		{"to a Service", "zipkin.tracing.svc:9411", "tracing/zipkin.tracing.svc.cluster-a.local", istionetworking.ServiceEntry_NONE, ""},
		{"to a Service by its whole name", "zipkin.tracing.svc.cluster-a.local:9411", "tracing/zipkin.tracing.svc.cluster-a.local", istionetworking.ServiceEntry_NONE, ""},
		{"to a host elsewhere", "traces.example.com:9411", "d8-istio/traces.example.com", istionetworking.ServiceEntry_DNS, ""},
		{"to an IPv4 address", "192.0.2.7:9411", "d8-istio/tracing-collector.d8-istio.internal", istionetworking.ServiceEntry_STATIC, "192.0.2.7"},
		{"to an IPv6 address", "[2001:db8::7]:9411", "d8-istio/tracing-collector.d8-istio.internal", istionetworking.ServiceEntry_STATIC, "2001:db8::7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, "tracing: {enabled: true, sampling: 0.5, collector: {zipkin: {address: '"+test.address+"'}}}", nil)
			telemetry := mustDecode[*telemetryv1.Telemetry](t, objects, "Telemetry/default").Spec.GetTracing()[0]
			if telemetry.GetRandomSamplingPercentage().GetValue() != 0.5 || telemetry.GetProviders()[0].GetName() != tracingProvider {
				t.Errorf("the Telemetry says %v", telemetry)
			}
			for _, revision := range revisions {
				provider := meshConfig(t, objects, revision).GetExtensionProviders()[0]
				if provider.GetName() != tracingProvider || provider.GetZipkin().GetService() != test.service || provider.GetZipkin().GetPort() != tracerPort {
					t.Errorf("the provider of %s is %v, want %s, port %d", revision, provider, test.service, tracerPort)
				}
			}
			_, host, _ := strings.Cut(test.service, "/")
			filter := fmt.Sprint(objects["EnvoyFilter/tracing-collector"].Object)
			for _, part := range []string{
				fmt.Sprintf("name:outbound|%d||%s", tracerPort, host), "clusters:[outbound|9411||" + host + " tracing-collector]",
				"address:" + cmp.Or(test.endpoint, host), "context:SIDECAR_OUTBOUND", "context:GATEWAY",
			} {
				if !strings.Contains(filter, part) {
					t.Errorf("the EnvoyFilter lacks %s: %s", part, filter)
				}
			}
			if strings.Contains(filter, "name:outbound|9411||") {
				t.Errorf("the EnvoyFilter adds a cluster that istiod sends, too, and proxies would reject both: %s", filter)
			}
			if test.entry == istionetworking.ServiceEntry_NONE {
				if _, rendered := objects["ServiceEntry/tracing-collector"]; rendered {
					t.Error("a Service of the cluster needs no ServiceEntry")
				}
				return
			}
			entry := &mustDecode[*networkingv1.ServiceEntry](t, objects, "ServiceEntry/tracing-collector").Spec
			if "d8-istio/"+entry.GetHosts()[0] != test.service || entry.GetResolution() != test.entry || entry.GetPorts()[0].GetNumber() != 9411 {
				t.Errorf("the ServiceEntry is %v", entry)
			}
			if test.endpoint != "" && entry.GetEndpoints()[0].GetAddress() != test.endpoint {
				t.Errorf("the endpoints are %v, want %s", entry.GetEndpoints(), test.endpoint)
			}
		})
	}
}

// TestSidecarSettings: each reaches the values that the injection templates of every version read.
func TestSidecarSettings(t *testing.T) {
	m := load(t)
	registry := func(v Values) {
		v.Set(map[string]any{"base": "registry.example.com/modules", "dockercfg": "e30="}, "istio", "registry")
	}
	for _, test := range []struct {
		name, settings string
		change         func(Values)
		path           string
		wanted         any
	}{
		{"included ranges", "sidecar: {includeOutboundIPRanges: [10.0.0.0/8, 192.168.0.0/16]}", nil, "global.proxy.includeIPRanges", "10.0.0.0/8,192.168.0.0/16"},
		{"everything in both families by default", "{}", nil, "global.proxy.includeIPRanges", "0.0.0.0/0,::/0"},
		{"excluded ranges", "sidecar: {excludeOutboundIPRanges: [192.0.2.0/24]}", nil, "global.proxy.excludeIPRanges", "192.0.2.0/24"},
		{"excluded inbound ports", "sidecar: {excludeInboundPorts: ['1', '2']}", nil, "global.proxy.excludeInboundPorts", "1,2"},
		{"excluded outbound ports", "sidecar: {excludeOutboundPorts: ['3']}", nil, "global.proxy.excludeOutboundPorts", "3"},
		{"no ranges at all", "sidecar: {includeOutboundIPRanges: []}", nil, "global.proxy.includeIPRanges", ""},
		{"static request", "sidecar: {resourcesManagement: {static: {requests: {cpu: 30m}}}}", nil, "global.proxy.resources.requests.cpu", "30m"},
		{"static limit", "sidecar: {resourcesManagement: {static: {limits: {memory: 2Gi}}}}", nil, "global.proxy.resources.limits.memory", "2Gi"},
		{"least value", "sidecar: {resourcesManagement: {mode: VPA, vpa: {cpu: {min: 30m}}}}", nil, "global.proxy.resources.requests.cpu", "30m"},
		{"greatest value", "sidecar: {resourcesManagement: {mode: VPA, vpa: {memory: {max: 3Gi}}}}", nil, "global.proxy.resources.limits.memory", "3Gi"},
		{"ratio", "sidecar: {resourcesManagement: {mode: VPA, vpa: {cpu: {min: 100m, limitRatio: 2.5}}}}", nil, "global.proxy.resources.limits.cpu", "250m"},
		{"waiting for the proxy", "dataPlane: {proxyConfig: {holdApplicationUntilProxyStarts: true}}", nil, "global.proxy.holdApplicationUntilProxyStarts", true},
		{"the registry's password", "{}", registry, "global.imagePullSecrets", []any{"d8-istio-sidecar-registry"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for _, revision := range revisions {
				values := document(t, injectorData(t, objects, revision)["values"]).(map[string]any)
				got, _, err := unstructured.NestedFieldNoCopy(values, strings.Split(test.path, ".")...)
				if err != nil || !reflect.DeepEqual(got, test.wanted) {
					t.Errorf("%s of %s is %v, want %v (%v)", test.path, revision, got, test.wanted, err)
				}
			}
		})
	}
}
