package ingress

import (
	"net/netip"
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// testTranslator is of a cluster whose Pods listen in 127.7.8.0/24.
func testTranslator() translator {
	return translator{
		network: podnet.New(netip.MustParsePrefix("10.100.0.0/16"), func(host byte) netip.Addr {
			return netip.AddrFrom4([4]byte{127, 7, 8, host})
		}),
		hosts:    map[string]string{"istio.cluster-a.lab": "127.7.8.2", "istio-api-proxy.cluster-a.lab": "127.7.8.5"},
		nameless: "istio.cluster-a.lab",
	}
}

func TestTranslation(t *testing.T) {
	for name, test := range map[string]struct{ object, want string }{
		"Pods have the addresses that they listen on": {
			`{kind: EndpointSlice, endpoints: [{addresses: [10.100.0.10], conditions: {ready: true}}, {addresses: [10.100.0.11]}]}`,
			`{kind: EndpointSlice, endpoints: [{addresses: [127.7.8.10], conditions: {ready: true}}, {addresses: [127.7.8.11]}]}`,
		},
		"what is no Pod of the cluster keeps its address": {
			`{kind: EndpointSlice, endpoints: [{addresses: [192.0.2.1]}, {addresses: [istio.example.com]}]}`,
			`{kind: EndpointSlice, endpoints: [{addresses: [192.0.2.1]}, {addresses: [istio.example.com]}]}`,
		},
		"a slice without endpoints stays as it is": {
			`{kind: EndpointSlice, endpoints: null}`, `{kind: EndpointSlice, endpoints: null}`,
		},
		"a public name is served at its address, too": {
			`{kind: Ingress, spec: {rules: [{host: istio.cluster-a.lab, http: {paths: [{path: /metadata}]}}]}}`,
			`{kind: Ingress, spec: {rules: [{host: istio.cluster-a.lab, http: {paths: [{path: /metadata}]}}, {host: 127.7.8.2, http: {paths: [{path: /metadata}]}}]}}`,
		},
		"a connection that is passed through names no address": {
			`{kind: Ingress, metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-passthrough: "true"}}, spec: {rules: [{host: istio.cluster-a.lab}]}}`,
			`{kind: Ingress, metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-passthrough: "true"}}, spec: {rules: [{host: istio.cluster-a.lab}, {host: "*"}]}}`,
		},
		"each public name has an address of its own": {
			`{kind: Ingress, spec: {rules: [{host: istio-api-proxy.cluster-a.lab}]}}`,
			`{kind: Ingress, spec: {rules: [{host: istio-api-proxy.cluster-a.lab}, {host: 127.7.8.5}]}}`,
		},
		"connections without a name are one Ingress' only": {
			`{kind: Ingress, metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-passthrough: "true"}}, spec: {rules: [{host: istio-api-proxy.cluster-a.lab}]}}`,
			`{kind: Ingress, metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-passthrough: "true"}}, spec: {rules: [{host: istio-api-proxy.cluster-a.lab}]}}`,
		},
		"a name that leads elsewhere has no address here": {
			`{kind: Ingress, spec: {rules: [{host: kiali.cluster-a.lab}, {http: {paths: []}}]}}`,
			`{kind: Ingress, spec: {rules: [{host: kiali.cluster-a.lab}, {http: {paths: []}}]}}`,
		},
		"an Ingress without rules stays as it is": {
			`{kind: Ingress, spec: {defaultBackend: {service: {name: web}}}}`, `{kind: Ingress, spec: {defaultBackend: {service: {name: web}}}}`,
		},
		"all of a list, whose items do not say their kind": {
			`{kind: EndpointSliceList, items: [{endpoints: [{addresses: [10.100.0.10]}]}, {endpoints: [{addresses: [10.100.0.12]}]}]}`,
			`{kind: EndpointSliceList, items: [{endpoints: [{addresses: [127.7.8.10]}]}, {endpoints: [{addresses: [127.7.8.12]}]}]}`,
		},
		"an empty list": {`{kind: IngressList, items: null}`, `{kind: IngressList, items: null}`},
		"another kind with fields of the same names": {
			`{kind: NetworkPolicy, spec: {rules: [{host: istio.cluster-a.lab}]}, endpoints: [{addresses: [10.100.0.10]}]}`,
			`{kind: NetworkPolicy, spec: {rules: [{host: istio.cluster-a.lab}]}, endpoints: [{addresses: [10.100.0.10]}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := fromYAML(t, test.object), fromYAML(t, test.want)
			testTranslator().object(got)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func fromYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}
