package crdtest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

func load(t *testing.T, name string) *Schema {
	t.Helper()
	schema, err := Load(filepath.Join("..", "..", "..", "crds", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func object(t *testing.T, kind, spec string) map[string]any {
	t.Helper()
	parsed := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(spec), &parsed); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": kind, "metadata": map[string]any{"name": "peer"}, "spec": parsed,
	}
}

func TestEndpointOfBothResources(t *testing.T) {
	tests := []struct {
		name, endpoint string
		rejected       string // part of the message; empty: accepted
	}{
		{"with a slash at the end", "https://istio.b.example.com/metadata/", ""},
		{"without a slash at the end", "https://istio.b.example.com/metadata", ""},
		{"a host only", "https://istio.b.example.com", ""},
		{"an address and a port", "https://127.0.0.1:8443/metadata/", ""},
		{"an IPv6 address and a port", "https://[::1]:8443/metadata/", ""},
		{"plain http", "http://istio.b.example.com/metadata/", "must be an https URL"},
		{"no scheme", "istio.b.example.com/metadata/", "must be an https URL"},
		{"a scheme in capitals", "HTTPS://istio.b.example.com/", "must be an https URL"},
		{"no host", "https:///metadata/", "with a host"},
		{"a space", "https://istio.b.example.com/meta data/", "with a host"},
		{"a port that is no number", "https://istio.b.example.com:port/", "with a host"},
		{"a query", "https://istio.b.example.com/metadata/?a=b", "must not have a query"},
		{"an empty query", "https://istio.b.example.com/metadata/?", "must not have a query"},
		{"a fragment", "https://istio.b.example.com/metadata/#a", "must not have a fragment"},
		{"a user", "https://user@istio.b.example.com/metadata/", "must not contain a user name"},
		{"a password", "https://user:secret@istio.b.example.com/metadata/", "must not contain a user name"},
		{"nothing", "", "spec.metadataEndpoint"},
		{"far too long", "https://istio.b.example.com/" + strings.Repeat("a", 2048), "spec.metadataEndpoint"},
	}
	for _, kind := range []string{v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind} {
		schema := load(t, strings.ToLower(kind))
		for _, test := range tests {
			t.Run(kind+" with "+test.name, func(t *testing.T) {
				resource := object(t, kind, "{}")
				resource["spec"] = map[string]any{"metadataEndpoint": test.endpoint}
				if kind == v1alpha1.IstioFederationKind {
					resource["spec"].(map[string]any)["trustDomain"] = "cluster-b.local"
				}
				check(t, schema.Validate(resource), test.rejected)
			})
		}
	}
}

func TestIstioFederation(t *testing.T) {
	const endpoint = "metadataEndpoint: https://istio.b.example.com/metadata/\n"
	tests := []struct{ name, spec, rejected string }{
		{"the least", endpoint + "trustDomain: cluster-b.local", ""},
		{"a trust domain of one word", endpoint + "trustDomain: b", ""},
		{"everything", endpoint + `
trustDomain: cluster-b.local
metadata:
  ca: "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
  insecureSkipVerify: false
import: ["*.shop", "api-?.billing", "*"]`, ""},
		{"an empty CA", endpoint + "trustDomain: b\nmetadata: {ca: ''}", ""},
		{"no import at all", endpoint + "trustDomain: b\nimport: []", ""},
		{"no trust domain", endpoint, "spec.trustDomain: Required"},
		{"no endpoint", "trustDomain: cluster-b.local", "spec.metadataEndpoint: Required"},
		{"an empty trust domain", endpoint + "trustDomain: ''", "spec.trustDomain"},
		{"a trust domain in capitals", endpoint + "trustDomain: Cluster-B.local", "lower case"},
		{"a trust domain with a dot at the end", endpoint + "trustDomain: cluster-b.local.", "without a dot at the end"},
		{"a trust domain with an empty label", endpoint + "trustDomain: cluster-b..local", "DNS name"},
		{"a trust domain with a label too long", endpoint + "trustDomain: " + strings.Repeat("a", 64) + ".local", "DNS name"},
		{"a trust domain too long", endpoint + "trustDomain: " + strings.Repeat("a.", 126) + "aa", "spec.trustDomain"},
		{"an IP address for a trust domain", endpoint + "trustDomain: 192.0.2.1", "must not end in a number"},
		{"a number for a trust domain", endpoint + "trustDomain: '7'", "must not end in a number"},
		{"a trust domain whose last part begins with a number", endpoint + "trustDomain: b.7x", ""},
		{"a wildcard for a trust domain", endpoint + "trustDomain: '*.local'", "DNS name"},
		{"a SPIFFE ID for a trust domain", endpoint + "trustDomain: spiffe://cluster-b.local", "DNS name"},
		{"a CA that is not PEM", endpoint + "trustDomain: b\nmetadata: {ca: abc}", `at least one PEM block "CERTIFICATE"`},
		{"CAs without a newline between them", endpoint + `
trustDomain: b
metadata:
  ca: "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE----------BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"`, "must have a newline between the PEM blocks"},
		{"an empty glob", endpoint + "trustDomain: b\nimport: ['']", "spec.import[0]"},
		{"a glob with a slash", endpoint + "trustDomain: b\nimport: [shop/api]", "must be a glob"},
		{"the same glob twice", endpoint + "trustDomain: b\nimport: [a.b, a.b]", "spec.import[1]: Duplicate"},
		{"a field that does not exist", endpoint + "trustDomain: b\ntrustdomain: b", "unknown fields [spec.trustdomain]"},
	}
	schema := load(t, "istiofederation")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, schema.Validate(object(t, v1alpha1.IstioFederationKind, test.spec)), test.rejected)
		})
	}
	t.Run("no spec", func(t *testing.T) {
		resource := object(t, v1alpha1.IstioFederationKind, "{}")
		delete(resource, "spec")
		check(t, schema.Validate(resource), "spec: Required")
	})
}

func check(t *testing.T, err error, rejected string) {
	t.Helper()
	switch {
	case rejected == "" && err != nil:
		t.Errorf("rejected: %v", err)
	case rejected != "" && err == nil:
		t.Error("accepted")
	case rejected != "" && !strings.Contains(err.Error(), rejected):
		t.Errorf("the error does not say %q: %v", rejected, err)
	}
}

func TestMulticlusterEntersByTheGatewayByDefault(t *testing.T) {
	schema := load(t, "istiomulticluster")
	stored := schema.Default(object(t, v1alpha1.IstioMulticlusterKind, "metadataEndpoint: https://b.example.com/metadata/"))
	if got := stored["spec"].(map[string]any)["enableIngressGateway"]; got != true {
		t.Errorf("enableIngressGateway is %v by default", got)
	}
}

var (
	now        = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	imported   = int32(1)
	conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1,
		LastTransitionTime: now, Reason: "Joined", Message: "one service imported",
	}}
	public   = &metadata.Public{ClusterUUID: "0f2b", AuthnKeyPub: "pub", RootCA: "root", TrustDomain: "cluster-b.local"}
	gateways = []metadata.IngressGateway{{Address: "203.0.113.7", Port: 15443}}
	peerSpec = v1alpha1.PeerSpec{
		MetadataEndpoint: "https://b.example.com/metadata/",
		Metadata:         v1alpha1.MetadataTLS{CA: "-----BEGIN CERTIFICATE-----", InsecureSkipVerify: true},
	}
	peerStatus = v1alpha1.PeerStatus{ObservedGeneration: 1, Conditions: conditions}
	peerCache  = v1alpha1.PeerCache{
		Public: public, PublicLastFetchTimestamp: &now, PrivateLastFetchTimestamp: &now, PublicETag: `"a"`, PrivateETag: `"b"`,
	}
)

// TestTypesFitTheSchema: whatever the Go types can hold survives the API server, so no field is pruned silently.
func TestTypesFitTheSchema(t *testing.T) {
	federation := v1alpha1.IstioFederation{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.IstioFederationKind},
		Spec: v1alpha1.IstioFederationSpec{
			TrustDomain: "cluster-b.local", PeerSpec: peerSpec, Import: []string{"*"},
		},
		Status: v1alpha1.IstioFederationStatus{
			PeerStatus: peerStatus, ImportedServices: &imported,
			RejectedServices: []v1alpha1.RejectedService{{Hostname: "a.b.svc.evil", Reason: "ForeignDomain", Message: "not its own"}},
			MetadataCache: v1alpha1.FederationCache{
				PeerCache: peerCache,
				Private: &v1alpha1.CachedFederation{
					IngressGateways: gateways,
					PublicServices: []metadata.PublicService{{
						Hostname:        "a.b.svc.cluster-b.local",
						Ports:           []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
						ServiceAccounts: []string{"b/a"},
					}},
				},
			},
		},
	}
	large := federation
	manyServices := make([]metadata.PublicService, 10_000)
	for index := range manyServices {
		manyServices[index] = metadata.PublicService{Hostname: fmt.Sprintf("a-%d.b.svc.cluster-b.local", index), Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}}
	}
	packed, err := new(servicelist.Codec).Pack(v1alpha1.CachedFederation{IngressGateways: gateways, PublicServices: manyServices, Digest: "0123"})
	if err != nil || packed.PublicServicesBlocks == nil {
		t.Fatalf("10,000 services are not packed: %v", err)
	}
	large.Status.MetadataCache.Private = &packed
	if err := load(t, "istiofederation").Validate(asMap(t, large)); err != nil {
		t.Errorf("with 10,000 services: %v", err)
	}
	enabled := true
	multicluster := v1alpha1.IstioMulticluster{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.IstioMulticlusterKind},
		Spec: v1alpha1.IstioMulticlusterSpec{
			PeerSpec: peerSpec, EnableIngressGateway: &enabled,
		},
		Status: v1alpha1.IstioMulticlusterStatus{
			PeerStatus: peerStatus,
			MetadataCache: v1alpha1.MulticlusterCache{
				PeerCache: peerCache,
				Private:   &metadata.Multicluster{IngressGateways: gateways, APIHost: "api.b.example.com", NetworkName: "b"},
			},
		},
	}
	for kind, resource := range map[string]any{
		v1alpha1.IstioFederationKind: federation, v1alpha1.IstioMulticlusterKind: multicluster,
	} {
		if err := load(t, strings.ToLower(kind)).Validate(asMap(t, resource)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func asMap(t *testing.T, resource any) map[string]any {
	t.Helper()
	document, err := json.Marshal(resource)
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]any{}
	if err := yaml.Unmarshal(document, &parsed); err != nil { // numbers as the API server reads them
		t.Fatal(err)
	}
	metadata := parsed["metadata"].(map[string]any)
	metadata["name"] = "peer"
	return parsed
}

func TestTwoConditionsOfOneTypeAreRejected(t *testing.T) {
	resource := object(t, v1alpha1.IstioFederationKind, "{trustDomain: b, metadataEndpoint: 'https://b.example.com/'}")
	ready := map[string]any{
		"type": "Ready", "status": "True", "reason": "Joined", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
	}
	resource["status"] = map[string]any{"conditions": []any{ready, ready}}
	check(t, load(t, "istiofederation").Validate(resource), "status.conditions[1]: Duplicate")
}

// TestPrinterColumns: what `kubectl get` shows of a resource that works, in the order it shows it.
func TestPrinterColumns(t *testing.T) {
	resource := map[string]any{
		"metadata": map[string]any{"creationTimestamp": "2026-01-01T00:00:00Z"},
		"spec":     map[string]any{"trustDomain": "cluster-b.local", "metadataEndpoint": "https://b.example.com/metadata/"},
		"status": map[string]any{
			"importedServices": 2,
			"conditions": []any{
				map[string]any{"type": "Accepted", "status": "True", "reason": "Other"},
				map[string]any{"type": "Ready", "status": "False", "reason": "PeerUnreachable"},
			},
			"metadataCache": map[string]any{
				"publicLastFetchTimestamp": "2026-01-02T00:00:00Z",
				"public":                   map[string]any{"clusterUUID": "0f2b"},
				"private":                  map[string]any{"networkName": "network-b"},
			},
		},
	}
	tests := map[string][]string{
		"istiofederation": {
			"Ready=False", "Peer=cluster-b.local", "Services=2", "Last Contact=2026-01-02T00:00:00Z", "Age=2026-01-01T00:00:00Z",
			"Reason=PeerUnreachable", "Endpoint=https://b.example.com/metadata/", "Cluster UUID=0f2b",
		},
		"istiomulticluster": {
			"Ready=False", "Peer=https://b.example.com/metadata/", "Last Contact=2026-01-02T00:00:00Z", "Age=2026-01-01T00:00:00Z",
			"Reason=PeerUnreachable", "Network=network-b", "Cluster UUID=0f2b",
		},
	}
	for name, wanted := range tests {
		var got []string
		for _, column := range load(t, name).Definition.Spec.Versions[0].AdditionalPrinterColumns {
			path := jsonpath.New(column.Name)
			if err := path.Parse("{" + column.JSONPath + "}"); err != nil {
				t.Fatal(err)
			}
			cell := &strings.Builder{}
			if err := path.Execute(cell, resource); err != nil {
				t.Errorf("%s, column %s: %v", name, column.Name, err)
			}
			got = append(got, column.Name+"="+cell.String())
		}
		if strings.Join(got, "\n") != strings.Join(wanted, "\n") {
			t.Errorf("%s shows\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(wanted, "\n"))
		}
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	for _, name := range []string{"istiofederation", "istiomulticluster"} {
		definition := load(t, name).Definition
		if definition.Labels["heritage"] != "deckhouse" || definition.Labels["module"] != "istio" {
			t.Errorf("%s: labels %v do not say whose it is", name, definition.Labels)
		}
		describe(t, name, *definition.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
}

func describe(t *testing.T, path string, props apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for name, child := range props.Properties {
		if child.Description == "" && name != "metadata" {
			t.Errorf("%s.%s has no description", path, name)
		}
		describe(t, path+"."+name, child)
	}
	if props.Items != nil {
		describe(t, path+"[]", *props.Items.Schema)
	}
}
