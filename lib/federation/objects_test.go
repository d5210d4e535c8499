package federation_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func peerB(gateways []metadata.IngressGateway, services ...metadata.PublicService) federation.Peer {
	return federation.Peer{Name: "cluster-b", TrustDomain: domain, Gateways: gateways, Services: services}
}

func ipGateway() []metadata.IngressGateway {
	return []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}
}

func objectsOf(t *testing.T, peers ...federation.Peer) map[string]federation.Object {
	t.Helper()
	objects := federation.Objects(peers)
	byKey := map[string]federation.Object{}
	for _, object := range objects {
		byKey[object.Kind+" "+object.Name] = object
	}
	if len(byKey) != len(objects) {
		t.Fatalf("%d objects share %d names", len(objects), len(byKey))
	}
	return byKey
}

func TestObjectsOfAService(t *testing.T) {
	objects := objectsOf(t, peerB(
		[]metadata.IngressGateway{{Address: "192.0.2.2", Port: 443}, {Address: "2001:db8::1", Port: 15443}},
		service("api.shop.svc."+domain, port("http", 80, "HTTP"), port("grpc-admin", 9000, "GRPC"))))

	entry, err := yaml.Marshal(objects["ServiceEntry api.shop.cluster-b"].Unstructured().Object)
	if err != nil {
		t.Fatal(err)
	}
	if want := `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  annotations:
    federation.istio.deckhouse.io/peer: cluster-b
  labels:
    app.kubernetes.io/managed-by: istio-federation
    heritage: deckhouse
    module: istio
  name: api.shop.cluster-b
  namespace: d8-istio
spec:
  endpoints:
  - address: 192.0.2.2
    ports:
      grpc-admin: 443
      http: 443
  - address: 2001:db8::1
    ports:
      grpc-admin: 15443
      http: 15443
  hosts:
  - api.shop.svc.cluster-b.local
  location: MESH_INTERNAL
  ports:
  - name: http
    number: 80
    protocol: HTTP
  - name: grpc-admin
    number: 9000
    protocol: GRPC
  resolution: STATIC
`; string(entry) != want {
		t.Errorf("got\n%s\nwant\n%s", entry, want)
	}
	rule, err := yaml.Marshal(objects["DestinationRule api.shop.cluster-b"].Spec)
	if err != nil {
		t.Fatal(err)
	}
	if want := "host: api.shop.svc.cluster-b.local\ntrafficPolicy:\n  tls:\n    mode: ISTIO_MUTUAL\n"; string(rule) != want {
		t.Errorf("got\n%s\nwant\n%s", rule, want)
	}
}

func TestAPeerWithoutGatewaysGetsNoObjects(t *testing.T) {
	if objects := objectsOf(t, peerB(nil, service("api.shop.svc."+domain))); len(objects) > 0 {
		t.Errorf("got %v", objects)
	}
}

func TestACachedServiceOfAnotherDomainGetsNoObjects(t *testing.T) {
	if objects := objectsOf(t, peerB(ipGateway(), service("api.shop.svc.cluster-a.local"))); len(objects) > 0 {
		t.Errorf("got %v", objects)
	}
}

func TestNamesOfObjectsAreUniqueAndValid(t *testing.T) {
	long := strings.Repeat("a", 63)
	veryLong := strings.TrimSuffix(strings.Repeat(long[:60]+".", 4), ".")
	var peers []federation.Peer
	for index, name := range []string{"b", "c.b", "x.b", veryLong, veryLong + "x"} {
		trustDomain := fmt.Sprintf("cluster-%d.local", index)
		peers = append(peers, federation.Peer{Name: name, TrustDomain: trustDomain, Gateways: ipGateway(), Services: []metadata.PublicService{
			service("a.x.svc." + trustDomain), service("a.c.svc." + trustDomain), service("a-c.x.svc." + trustDomain),
			service(long + "." + long + ".svc." + trustDomain), service(long + "." + long[:62] + ".svc." + trustDomain),
		}})
	}
	for key, object := range objectsOf(t, peers...) {
		if len(object.Name) > 253 {
			t.Errorf("%s has a name of %d characters", key, len(object.Name))
		}
	}
}

func TestDiff(t *testing.T) {
	wantedObjects := federation.Objects([]federation.Peer{peerB(ipGateway(), service("api.shop.svc."+domain))})
	entry := wantedObjects[0]
	changed := func(change func(*federation.Object)) []federation.Object {
		object := entry
		change(&object)
		return []federation.Object{object}
	}
	wanted := []federation.Object{entry}
	for name, test := range map[string]struct {
		wanted, found                 []federation.Object
		create, update, remove, taken int
	}{
		"what is missing is created":                     {wanted, nil, 1, 0, 0, 0},
		"what is equal is left alone":                    {wanted, wanted, 0, 0, 0, 0},
		"what differs is updated":                        {wanted, changed(func(o *federation.Object) { o.Spec = map[string]any{"hosts": []any{"x"}} }), 0, 1, 0, 0},
		"what was made for another peer is updated":      {wanted, changed(func(o *federation.Object) { o.Peer = "old" }), 0, 1, 0, 0},
		"an unwanted object is deleted":                  {nil, wanted, 0, 0, 1, 0},
		"another owner's object is never deleted":        {nil, changed(func(o *federation.Object) { o.Managed = false }), 0, 0, 0, 0},
		"nor overwritten":                                {wanted, changed(func(o *federation.Object) { o.Managed = false }), 0, 0, 0, 1},
		"what is being deleted is waited for":            {wanted, changed(func(o *federation.Object) { o.Deleting = true }), 0, 0, 0, 0},
		"what is being deleted is not deleted again":     {nil, changed(func(o *federation.Object) { o.Deleting = true }), 0, 0, 0, 0},
		"an object of another kind is another object":    {wanted, changed(func(o *federation.Object) { o.Kind = "DestinationRule"; o.Managed = false }), 1, 0, 0, 0},
		"what moves to another name is made and removed": {wanted, changed(func(o *federation.Object) { o.Name = "old" }), 1, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			changes, conflicts := federation.Diff(test.wanted, test.found)
			steps := map[federation.Step]int{}
			for _, change := range changes {
				steps[change.Step]++
			}
			if steps[federation.Create] != test.create || steps[federation.Update] != test.update || steps[federation.Delete] != test.remove ||
				len(changes) != test.create+test.update+test.remove || len(conflicts) != test.taken {
				t.Errorf("changes %+v, conflicts %+v", changes, conflicts)
			}
		})
	}
}

func TestAPatchRemovesTheOldSpec(t *testing.T) {
	update := federation.Change{
		Wanted: federation.Object{State: federation.State{Peer: "b"}, Spec: map[string]any{"hosts": []any{"a"}}},
		Found:  federation.Object{State: federation.State{Peer: "x"}, Spec: map[string]any{"hosts": []any{"z"}, "exportTo": []any{"."}}},
	}
	encoded, err := update.Patch("")
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"metadata":{"annotations":{"federation.istio.deckhouse.io/peer":"b"}},"spec":{"exportTo":null,"hosts":["a"]}}`; string(encoded) != want {
		t.Errorf("got %s, want %s", encoded, want)
	}
}

func TestCallsOfTheHealthcheckOpenAConnectionEach(t *testing.T) {
	const uuid = "0f2b3c4d-1111-4222-8333-444455556666"
	objects := objectsOf(t, peerB(ipGateway(),
		service(healthcheck.Hostname(uuid, domain), port("http", 80, "HTTP")), service("api.shop.svc."+domain, port("http", 80, "HTTP"))))
	for name, want := range map[string]bool{"alliance-healthcheck-" + uuid + ".d8-istio.cluster-b": true, "api.shop.cluster-b": false} {
		rule, err := json.Marshal(objects["DestinationRule "+name].Spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(rule), `"maxRequestsPerConnection":1`); got != want || !strings.Contains(string(rule), "ISTIO_MUTUAL") {
			t.Errorf("the rule of %s is %s", name, rule)
		}
	}
}
