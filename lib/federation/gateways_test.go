package federation_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func gateways(addresses ...string) []metadata.IngressGateway {
	made := make([]metadata.IngressGateway, 0, len(addresses))
	for _, address := range addresses {
		made = append(made, metadata.IngressGateway{Address: address, Port: 15443})
	}
	return made
}

func TestGateways(t *testing.T) {
	var many []string
	for index := range metadata.MaxIngressGateways {
		many = append(many, fmt.Sprintf("192.0.2.%d", 100+index))
	}
	for name, test := range map[string]struct {
		gateways   []metadata.IngressGateway
		resolution string
		endpoints  []string
	}{
		"one IPv4 address":                     {gateways("192.0.2.1"), "STATIC", []string{"192.0.2.1"}},
		"one IPv6 address":                     {gateways("2001:db8::1"), "STATIC", []string{"2001:db8::1"}},
		"both, in an order of their own":       {gateways("2001:db8::1", "192.0.2.1"), "STATIC", []string{"192.0.2.1", "2001:db8::1"}},
		"a DNS name":                           {gateways("gw.example.com"), "DNS", []string{"gw.example.com"}},
		"one DNS name among addresses":         {gateways("gw.example.com", "2001:db8::1", "192.0.2.1"), "DNS", []string{"192.0.2.1", "2001:db8::1", "gw.example.com"}},
		"the same one twice":                   {gateways("192.0.2.1", "192.0.2.1"), "STATIC", []string{"192.0.2.1"}},
		"as many as are used":                  {gateways(many...), "STATIC", many},
		"a DNS name that begins like a number": {gateways("1.example"), "DNS", []string{"1.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			entry := objectsOf(t, peerB(test.gateways, service("api.shop.svc."+domain)))["ServiceEntry api.shop.cluster-b"]
			var addresses []string
			for _, each := range entry.Spec["endpoints"].([]any) {
				addresses = append(addresses, each.(map[string]any)["address"].(string))
			}
			if entry.Spec["resolution"] != test.resolution || !reflect.DeepEqual(addresses, test.endpoints) {
				t.Errorf("resolution %v of %v", entry.Spec["resolution"], addresses)
			}
			reversed := slices.Clone(test.gateways)
			slices.Reverse(reversed)
			again := objectsOf(t, peerB(reversed, service("api.shop.svc."+domain)))["ServiceEntry api.shop.cluster-b"]
			if !reflect.DeepEqual(entry, again) {
				t.Error("another order of gateways makes another object")
			}
		})
	}
}

// TestAChangeOfThePeerUpdatesItsObjects: the patch leads from one to the other, nothing of the old stays.
func TestAChangeOfThePeerUpdatesItsObjects(t *testing.T) {
	before := peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("http", 80, "HTTP"), port("admin", 81, "TCP")))
	for name, test := range map[string]struct {
		after   federation.Peer
		updates int
	}{
		"nothing":                    {before, 0},
		"a port is renamed":          {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("web", 80, "HTTP"), port("admin", 81, "TCP"))), 1},
		"a port is renumbered":       {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("http", 8080, "HTTP"), port("admin", 81, "TCP"))), 1},
		"a port is removed":          {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("http", 80, "HTTP"))), 1},
		"a port turns to UDP":        {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("http", 80, "HTTP"), port("admin", 81, "UDP"))), 1},
		"a port has another meaning": {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("http", 80, "GRPC"), port("admin", 81, "TCP"))), 1},
		"ports in another order":     {peerB(gateways("192.0.2.1"), service("api.shop.svc."+domain, port("admin", 81, "TCP"), port("http", 80, "HTTP"))), 0},
		"the gateway moves":          {peerB(gateways("192.0.2.9"), before.Services...), 1},
		"the gateway becomes a name": {peerB(gateways("gw.example.com"), before.Services...), 1},
		"another gateway":            {peerB(gateways("192.0.2.1", "2001:db8::1"), before.Services...), 1},
	} {
		t.Run(name, func(t *testing.T) {
			found, wanted := federation.Objects([]federation.Peer{before}), federation.Objects([]federation.Peer{test.after})
			changes, conflicts := federation.Diff(wanted, found)
			if len(changes) != test.updates || len(conflicts) > 0 {
				t.Fatalf("changes %+v, conflicts %+v", changes, conflicts)
			}
			for _, update := range changes {
				if update.Step != federation.Update {
					t.Errorf("step %s", update.Step)
				}
				patched := mergePatch(t, update)
				if !reflect.DeepEqual(patched, update.Wanted.Spec) {
					t.Errorf("patched to\n%v\nwant\n%v", patched, update.Wanted.Spec)
				}
			}
		})
	}
}

// mergePatch applies an update's patch to the object that was found, as the API server does (RFC 7396).
func mergePatch(t *testing.T, update federation.Change) map[string]any {
	t.Helper()
	patch, err := update.Patch("")
	if err != nil {
		t.Fatal(err)
	}
	found, err := json.Marshal(map[string]any{"spec": update.Found.Spec})
	if err != nil {
		t.Fatal(err)
	}
	merged, err := jsonpatch.MergePatch(found, patch)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(merged, &object); err != nil {
		t.Fatal(err)
	}
	return object.Spec
}
