package rendertest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/test/support/crdtest"
)

const gatewayGroup = "gateway.networking.k8s.io"

// atGateway is the setting that names a Gateway.
const atGateway = "gatewayAPIGateway: {name: shared, namespace: gateways}\n"

// gatewayAPI is what a cluster serves that has Gateway API.
var gatewayAPI = []string{gatewayGroup + "/v1/HTTPRoute", gatewayGroup + "/v1/ListenerSet", gatewayGroup + "/v1/BackendTLSPolicy"}

// defaultGateway is what Deckhouse discovers where its own load balancer is.
func defaultGateway(v Values) {
	v.Set(map[string]any{"name": "default", "namespace": "d8-alb"}, "global", "discovery", "gatewayAPIDefaultGateway")
}

// ofGateway are the rendered objects of Gateway API, by kind and name.
func ofGateway(objects Objects) []string {
	var found []string
	for _, key := range objects.Keys() {
		if strings.HasPrefix(objects[key].GetAPIVersion(), gatewayGroup+"/") {
			found = append(found, key)
		}
	}
	return found
}

// spec is the spec of an object, as YAML.
func spec(t *testing.T, objects Objects, key string) string {
	t.Helper()
	object, ok := objects[key]
	if !ok {
		t.Fatalf("%s is not rendered", key)
	}
	text, err := yaml.Marshal(object.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhereTheModuleIsPublishedAtAGateway(t *testing.T) {
	m := load(t)
	const issued = "https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}\n"
	const copied = "https: {mode: CustomCertificate, customCertificate: {secretName: own}}\n"
	exporter := []string{"BackendTLSPolicy/metadata-exporter", "HTTPRoute/metadata-exporter", "ListenerSet/istio"}
	withKiali := []string{"BackendTLSPolicy/metadata-exporter", "HTTPRoute/kiali", "HTTPRoute/metadata-exporter", "ListenerSet/istio"}
	tests := []struct {
		name, settings string
		change         func(Values)
		apis           []string
		wanted         []string
	}{
		{"at the Gateway of the settings", atGateway + federation, nil, gatewayAPI, exporter},
		{"at the cluster's", federation, func(v Values) {
			v.Set(map[string]any{"name": "shared", "namespace": "gateways"}, "global", "modules", "gatewayAPIGateway")
		}, gatewayAPI, exporter},
		{"at Deckhouse's default one", federation, defaultGateway, gatewayAPI, exporter},
		{"with the API proxy", atGateway + multicluster, nil, gatewayAPI, []string{
			"BackendTLSPolicy/api-proxy", "BackendTLSPolicy/metadata-exporter", "HTTPRoute/api-proxy", "HTTPRoute/metadata-exporter", "ListenerSet/istio",
		}},
		{"not without a Gateway", federation, nil, gatewayAPI, nil},
		{"not without the Gateway API", atGateway + federation, nil, nil, nil},
		{"not where a Gateway knows no ListenerSets", atGateway + federation, nil, gatewayAPI[:1], nil},
		{"without a policy where there are none", atGateway + federation, nil, gatewayAPI[:2], exporter[1:]},
		{"not without a public domain", atGateway + federation, func(v Values) { v.Set("", "global", "modules", "publicDomainTemplate") }, gatewayAPI, nil},
		{"not without peers or Kiali", atGateway, nil, gatewayAPI, nil},
		{"not while the person's certificate was not read", atGateway + federation + "\n" + copied, nil, gatewayAPI, nil},
		{"with Kiali at Deckhouse's", externalAuthentication + federation, defaultGateway, gatewayAPI, withKiali},
		{"with Kiali alone", externalAuthentication, defaultGateway, gatewayAPI, []string{"HTTPRoute/kiali", "ListenerSet/istio"}},
		{"without Kiali at any other, which would let everybody through", externalAuthentication + atGateway + federation, defaultGateway, gatewayAPI, exporter},
		{"without Kiali where nobody authenticates people", federation, defaultGateway, gatewayAPI, exporter},
		{"not for a Kiali that would be reached in plain text", externalAuthentication + "https: {mode: Disabled}\n", defaultGateway, gatewayAPI, nil},
		{"not for a Kiali without cert-manager", externalAuthentication + issued, defaultGateway, gatewayAPI, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ofGateway(m.render(t, test.settings, test.change, test.apis...)); !slices.Equal(got, test.wanted) {
				t.Errorf("rendered %v, want %v", got, test.wanted)
			}
		})
	}
}

func TestAGatewayTerminatesTLSWithTheCertificatesOfTheIngresses(t *testing.T) {
	objects := load(t).render(t, atGateway+federation+"\n"+multicluster+"\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}",
		enabled("cert-manager"), gatewayAPI...)
	listeners, _, err := unstructured.NestedSlice(objects["ListenerSet/istio"].Object, "spec", "listeners")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, each := range listeners {
		listener := each.(map[string]any)
		references, _, err := unstructured.NestedSlice(listener, "tls", "certificateRefs")
		if err != nil || len(references) != 1 {
			t.Fatalf("listener %v has the certificates %v (%v)", listener["name"], references, err)
		}
		got = append(got, listener["hostname"].(string)+" "+listener["protocol"].(string)+" "+references[0].(map[string]any)["name"].(string))
	}
	if wanted := []string{
		"istio.a.example.com HTTPS metadata-exporter-ingress-tls",
		"istio-metadata.a.example.com HTTPS metadata-exporter-ingress-tls",
		"istio-api-proxy.a.example.com HTTPS api-proxy-ingress-tls",
	}; !slices.Equal(got, wanted) {
		t.Errorf("the listeners are %v, want %v", got, wanted)
	}
	if policy := spec(t, objects, "BackendTLSPolicy/metadata-exporter"); !strings.Contains(policy, "hostname: istio-metadata.a.example.com\n") ||
		!strings.Contains(policy, "wellKnownCACertificates: System\n") {
		t.Errorf("the Gateway verifies the exporter by\n%s", policy)
	}
}

func TestAGatewayVerifiesTheCertificateThatAHookIssued(t *testing.T) {
	objects := load(t).render(t, atGateway+federation, nil, gatewayAPI...)
	if listeners := spec(t, objects, "ListenerSet/istio"); strings.Contains(listeners, "HTTPS") {
		t.Errorf("TLS ends before the Gateway, and the listeners are\n%s", listeners)
	}
	if policy := spec(t, objects, "BackendTLSPolicy/metadata-exporter"); !strings.Contains(policy, "hostname: metadata-exporter.d8-istio.svc\n") ||
		!strings.Contains(policy, "name: metadata-exporter-ca\n") {
		t.Errorf("the Gateway verifies the exporter by\n%s", policy)
	}
	authority := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/metadata-exporter-ca").Data["ca.crt"]
	if secret := mustDecode[*corev1.Secret](t, objects, "Secret/metadata-exporter-tls"); authority == "" || authority != string(secret.Data["ca.crt"]) {
		t.Errorf("the Gateway trusts %q, and the certificate is of %q", authority, secret.Data["ca.crt"])
	}
}

func TestEveryIngressHasARouteThroughAListenerSet(t *testing.T) {
	objects := load(t).render(t, externalAuthentication+federation+"\n"+multicluster, defaultGateway, gatewayAPI...)
	routes := map[string]*unstructured.Unstructured{}
	for _, key := range ofGateway(objects) {
		if object := objects[key]; object.GetKind() == "HTTPRoute" {
			routes[object.GetLabels()["app"]] = object
		}
	}
	ingresses := 0
	for _, key := range objects.Keys() {
		ingress := objects[key]
		if ingress.GetKind() != "Ingress" {
			continue
		}
		ingresses++
		route, ok := routes[ingress.GetLabels()["app"]]
		if !ok {
			t.Errorf("%s has no HTTPRoute with its label app", key)
			continue
		}
		parents, _, err := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
		if err != nil || len(parents) == 0 {
			t.Errorf("HTTPRoute %s has no parent (%v)", route.GetName(), err)
		}
		for _, parent := range parents {
			if reference := parent.(map[string]any); reference["kind"] != "ListenerSet" || reference["name"] != "istio" {
				t.Errorf("HTTPRoute %s has the parent %v", route.GetName(), reference)
			}
		}
	}
	if ingresses != 4 {
		t.Errorf("%d Ingresses were compared", ingresses)
	}
}

// decoded is the object as the API server decodes it: with whole numbers as such.
func decoded(t *testing.T, object *unstructured.Unstructured) map[string]any {
	t.Helper()
	text, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]any{}
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	return content
}

// TestObjectsOfGatewayAPIFitTheirCRDs: the lab's clusters have no Gateway that knows ListenerSets.
func TestObjectsOfGatewayAPIFitTheirCRDs(t *testing.T) {
	m := load(t)
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*crdtest.Schema{}
	for kind, resource := range map[string]string{"HTTPRoute": "httproutes", "ListenerSet": "listenersets", "BackendTLSPolicy": "backendtlspolicies"} {
		path := filepath.Join(root, ".cache", "gateway-api", gatewayGroup+"_"+resource+".yaml")
		if schemas[kind], err = crdtest.LoadVersion(path, resource+"."+gatewayGroup, "v1"); err != nil {
			t.Fatalf("%v (run `make generate`)", err)
		}
	}
	for name, settings := range map[string]string{
		"where TLS ends before the Gateway": "",
		"with certificates":                 "https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			objects := m.render(t, settings+externalAuthentication+federation+"\n"+multicluster, func(v Values) {
				enabled("cert-manager")(v)
				defaultGateway(v)
			}, gatewayAPI...)
			found := ofGateway(objects)
			if len(found) != 6 {
				t.Errorf("rendered %v", found)
			}
			for _, key := range found {
				schema := schemas[objects[key].GetKind()]
				if err := schema.Validate(schema.Default(decoded(t, objects[key]))); err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
		})
	}
}
