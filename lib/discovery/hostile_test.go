package discovery_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

// learned is everything this cluster uses that came from one peer.
type learned struct {
	status  v1alpha1.IstioFederationStatus
	objects []federation.Object
	anchors []string
	trusted *metadata.Public
}

// learned is what follows from the resources for the peer of that name.
func (w *world) learned(name string, resources []v1alpha1.IstioFederation) learned {
	w.Helper()
	var (
		found   learned
		peers   []federation.Peer
		issuers []trustanchor.Peer
	)
	for _, resource := range accepted(resources) {
		cache := resource.Status.MetadataCache
		if resource.Name == name {
			found.status, found.trusted = resource.Status, cache.Public
		}
		issuers = append(issuers, trustanchor.Peer{Name: resource.Name, TrustDomain: resource.Spec.TrustDomain, RootCA: cache.Public.RootCA})
		if cache.Private != nil {
			peers = append(peers, federation.Peer{Name: resource.Name, TrustDomain: resource.Spec.TrustDomain,
				Gateways: cache.Private.IngressGateways, Services: cache.Private.PublicServices})
		}
	}
	for _, object := range federation.Objects(peers) {
		if object.Peer == name {
			found.objects = append(found.objects, object)
		}
	}
	if w.anchors == "" {
		outcome, err := trustanchor.Reconcile(issuers, "", "", w.now)
		if err != nil {
			w.Fatal(err)
		}
		w.anchors = outcome.Stored
	}
	outcome, err := trustanchor.Reconcile(issuers, "", w.anchors, w.now)
	if err != nil {
		w.Fatal(err)
	}
	found.anchors = outcome.Anchors[name]
	return found
}

// boundTo fails when an object of the peer says anything of another domain.
func boundTo(t *testing.T, domain string, objects []federation.Object) {
	t.Helper()
	for _, object := range objects {
		host, _ := object.Spec["host"].(string)
		if hosts, _ := object.Spec["hosts"].([]any); len(hosts) == 1 {
			host, _ = hosts[0].(string)
		}
		if !strings.HasSuffix(host, ".svc."+domain) || strings.Count(strings.TrimSuffix(host, ".svc."+domain), ".") != 1 {
			t.Errorf("%s %s is for host %q", object.Kind, object.Name, host)
		}
		encoded, err := json.Marshal(object.Spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, after := range strings.Split(string(encoded), "spiffe://")[1:] {
			if !strings.HasPrefix(after, domain+"/ns/") {
				t.Errorf("%s %s names the identity %.80q", object.Kind, object.Name, after)
			}
		}
	}
}

// In TestAHostilePeerChangesNothingOutsideItsOwnDomain, peer c lies, and
// everything that came from peer b stays as it is, to the byte.
func TestAHostilePeerChangesNothingOutsideItsOwnDomain(t *testing.T) {
	const own, of = "shop.svc.cluster-c.local", "cluster-c.local"
	service := func(hostname string, change func(*metadata.PublicService)) metadata.PublicService {
		made := metadata.PublicService{Hostname: hostname, Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}}
		if change != nil {
			change(&made)
		}
		return made
	}
	services := func(list ...metadata.PublicService) func(*world, *fakePeer, metadata.Public) {
		return func(_ *world, c *fakePeer, _ metadata.Public) {
			private := c.private.(metadata.Federation)
			private.PublicServices = list
			c.private = private
		}
	}
	public := func(change func(c *metadata.Public, b metadata.Public)) func(*world, *fakePeer, metadata.Public) {
		return func(_ *world, c *fakePeer, b metadata.Public) {
			said := c.public.(metadata.Public)
			change(&said, b)
			c.public = said
		}
	}
	raw := func(private string) func(*world, *fakePeer, metadata.Public) {
		return func(_ *world, c *fakePeer, _ metadata.Public) { c.private = []byte(private) }
	}
	gateways := func(list ...metadata.IngressGateway) func(*world, *fakePeer, metadata.Public) {
		return func(_ *world, c *fakePeer, _ metadata.Public) {
			private := c.private.(metadata.Federation)
			private.IngressGateways = list
			c.private = private
		}
	}
	many := make([]metadata.IngressGateway, 10_000)
	for index := range many {
		many[index] = metadata.IngressGateway{Address: fmt.Sprintf("198.51.%d.%d", index/256, index%256), Port: 15443}
	}
	for name, lie := range map[string]func(*world, *fakePeer, metadata.Public){
		"a service of the honest peer":                 services(service("api.shop.svc.cluster-b.local", nil)),
		"a service of this cluster":                    services(service("kubernetes.default.svc.cluster-a.local", nil)),
		"a service of this cluster, short":             services(service("kubernetes.default.svc", nil)),
		"a public host":                                services(service("accounts.example.com", nil)),
		"everything":                                   services(service("*", nil), service("*.local", nil), service("*.shop.svc.cluster-b.local", nil)),
		"the honest peer's host with a dot at the end": services(service("api.shop.svc.cluster-b.local.", nil)),
		"the honest peer's host in capitals":           services(service("API.SHOP.SVC.CLUSTER-B.LOCAL", nil)),
		"the honest peer's host before its own domain": services(service("api.shop.svc.cluster-b.local.svc."+of, nil)),
		"a name that looks like the honest peer's":     services(service("\u0430pi.shop.svc.cluster-b.local", nil)),
		"a name with a zero byte":                      services(service("api.shop.svc.cluster-b.local\x00."+own, nil)),
		"a name of a quarter of a megabyte":            services(service(strings.Repeat("a.", 1<<17)+own, nil)),
		"identities of the honest peer": services(service("x."+own, func(s *metadata.PublicService) {
			s.ServiceAccounts = []string{"shop/api", "spiffe://cluster-b.local/ns/shop/sa/api"}
		})),
		"identities that climb out of their domain": services(service("x."+own, func(s *metadata.PublicService) {
			s.ServiceAccounts = []string{"../cluster-b.local/ns/shop", "shop/../../x", "shop/a/b"}
		})),
		"ten thousand identities": services(service("x."+own, func(s *metadata.PublicService) { s.ServiceAccounts = slices.Repeat([]string{"shop/api"}, 10_000) })),
		"UDP":                     services(service("x."+own, func(s *metadata.PublicService) { s.Ports[0].Protocol = "UDP" })),
		"ports out of range":      services(service("x."+own, func(s *metadata.PublicService) { s.Ports[0].Port = -1 })),
		"one port twice":          services(service("x."+own, func(s *metadata.PublicService) { s.Ports = append(s.Ports, s.Ports[0]) })),
		"one service twice":       services(service("x."+own, nil), service("x."+own, nil)),
		"the name that the honest peer's object has": services(service("api.shop.b."+own, nil), service("api."+own, nil)),
		"this cluster's UUID":                        public(func(c *metadata.Public, _ metadata.Public) { c.ClusterUUID = self.ClusterUUID }),
		"the honest peer's UUID":                     public(func(c *metadata.Public, b metadata.Public) { c.ClusterUUID = b.ClusterUUID }),
		"the honest peer's UUID in capitals":         public(func(c *metadata.Public, b metadata.Public) { c.ClusterUUID = strings.ToUpper(b.ClusterUUID) }),
		"the honest peer's trust domain":             public(func(c *metadata.Public, b metadata.Public) { c.TrustDomain = b.TrustDomain }),
		"this cluster's trust domain":                public(func(c *metadata.Public, _ metadata.Public) { c.TrustDomain = self.TrustDomain }),
		"the honest peer's key":                      public(func(c *metadata.Public, b metadata.Public) { c.AuthnKeyPub = b.AuthnKeyPub }),
		"everything that the honest peer says":       public(func(c *metadata.Public, b metadata.Public) { *c = b }),
		"a root bound to the honest peer's domain": func(w *world, c *fakePeer, _ metadata.Public) {
			said := c.public.(metadata.Public)
			said.RootCA = constrainedRoot(w.TB, "cluster-b.local")
			c.public = said
		},
		"a private key where a root belongs":             public(func(c *metadata.Public, _ metadata.Public) { c.RootCA = c.AuthnKeyPub }),
		"two documents in one, of which the last counts": raw(`{"ingressGateways":[],"publicServices":[]}{"ingressGateways":[],"publicServices":[]}`),
		"a key twice, of which the last counts":          raw(`{"ingressGateways":[],"publicServices":[],"publicServices":[{"hostname":"api.shop.svc.cluster-b.local","ports":[{"name":"http","port":80,"protocol":"HTTP"}]}]}`),
		"a key in another case":                          raw(`{"ingressGateways":[],"publicServices":[],"PUBLICSERVICES":[{"hostname":"api.shop.svc.cluster-b.local","ports":[{"name":"http","port":80,"protocol":"HTTP"}]}]}`),
		"no UTF-8":                                       raw("{\"ingressGateways\":[],\"publicServices\":[{\"hostname\":\"\xff.shop.svc.cluster-b.local\"}]}"),
		"lists in lists without end":                     raw(strings.Repeat("[", 1<<20)),
		"services that are numbers":                      raw(`{"ingressGateways":[],"publicServices":[1,2,3]}`),
		"nothing":                                        raw(``),
		"null":                                           raw(`null`),
		"ten thousand gateways":                          gateways(many...),
		"the honest peer's gateway":                      gateways(metadata.IngressGateway{Address: "192.0.2.1", Port: 15443}),
		"a cloud's metadata service as its gateway":      gateways(metadata.IngressGateway{Address: "169.254.169.254", Port: 80}),
		"a Pod of this cluster as its gateway":           gateways(metadata.IngressGateway{Address: "10.111.0.7", Port: 15443}),
		"a Service of this cluster as its gateway":       gateways(metadata.IngressGateway{Address: "10.222.0.1", Port: 443}),
		"this cluster's API server as its gateway":       gateways(metadata.IngressGateway{Address: "::ffff:192.168.0.10", Port: 6443}),
		"loopback as its gateway":                        gateways(metadata.IngressGateway{Address: "127.0.0.1", Port: 15000}, metadata.IngressGateway{Address: "::1", Port: 15000}),
		"gateways in notations of old":                   gateways(metadata.IngressGateway{Address: "0x7f.1", Port: 80}, metadata.IngressGateway{Address: "2130706433", Port: 80}, metadata.IngressGateway{Address: "::ffff:169.254.169.254", Port: 80}),
		"a gateway on a port out of range":               gateways(metadata.IngressGateway{Address: "198.51.100.1", Port: 1 << 30}),
		"a gateway whose name is the honest peer's host": gateways(metadata.IngressGateway{Address: "api.shop.svc.cluster-b.local", Port: 80}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, c := w.addPeer("b", "api.shop.svc.cluster-b.local"), w.addPeer("c", "api."+own)
			keypair, err := authn.GenerateKeypair()
			if err != nil {
				t.Fatal(err)
			}
			said := w.peerOf(c).public.(metadata.Public)
			said.AuthnKeyPub = keypair.Pub
			w.peerOf(c).public = said
			c.CreationTimestamp = metav1.NewTime(start.Add(-1)) // older: it comes first wherever age decides
			known := w.poll(b, c)
			before := w.learned("b", known)
			if len(before.objects) != 2 || len(before.anchors) != 1 {
				t.Fatalf("before: %+v", before)
			}

			lie(w, w.peerOf(c), w.peerOf(b).public.(metadata.Public))
			after := w.poll(known...)
			if now := w.learned("b", after); !reflect.DeepEqual(before, now) {
				t.Errorf("what came from the honest peer was\n%+v\nand is\n%+v", before, now)
			}
			boundTo(t, of, w.learned("c", after).objects)
			again := w.poll(after...)
			if !reflect.DeepEqual(after, again) {
				t.Errorf("the same lie again changed the status:\n%+v\n%+v", after[1].Status, again[1].Status)
			}
		})
	}
}

func TestGatewaysInsideThisClusterAreReportedAndTheOthersAreUsed(t *testing.T) {
	good := metadata.IngressGateway{Address: "198.51.100.7", Port: 15443}
	for name, test := range map[string]struct{ address, says string }{
		"a Pod":          {"10.111.0.7", "this cluster's own range of Pods"},
		"a Service":      {"10.222.0.1", "this cluster's own range of Services"},
		"the API server": {"192.168.0.10", "this cluster's own API server"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.addPeer("c", "api.shop.svc.cluster-c.local")
			private := w.peerOf(c).private.(metadata.Federation)
			private.IngressGateways = []metadata.IngressGateway{{Address: test.address, Port: 15443}, good}
			w.peerOf(c).private = private
			known := w.poll(c)
			for range 2 { // it is the same answer, and what was left out of it is said again
				w.wantCondition(known[0], v1alpha1.ConditionPrivateMetadata, metav1.ConditionTrue, discovery.ReasonFetched, test.says)
				if used := known[0].Status.MetadataCache.Private.IngressGateways; !reflect.DeepEqual(used, []metadata.IngressGateway{good}) {
					t.Errorf("used: %v", used)
				}
				known = w.poll(known...)
			}
		})
	}
}

func TestACachedGatewayThatTurnsOutToBeThisClustersOwnIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	known := w.poll(w.addPeer("c", "api.shop.svc.cluster-c.local"))
	cached := *known[0].Status.MetadataCache.Private
	cached.IngressGateways = append([]metadata.IngressGateway{{Address: "10.111.0.7", Port: 15443}}, cached.IngressGateways...)
	want := cached.IngressGateways[1:]
	known[0].Status.MetadataCache.Private = &cached
	after := w.poll(known...)
	if used := after[0].Status.MetadataCache.Private.IngressGateways; !reflect.DeepEqual(used, want) {
		t.Errorf("used: %v, want %v", used, want)
	}
	w.wantCondition(after[0], v1alpha1.ConditionPrivateMetadata, metav1.ConditionTrue, discovery.ReasonFetched, "range of Pods")
}

func TestAGatewayThatIsNoLongerThisClustersOwnIsUsedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.addPeer("c", "api.shop.svc.cluster-c.local")
	gateways := []metadata.IngressGateway{{Address: "192.168.0.10", Port: 15443}, {Address: "198.51.100.7", Port: 15443}}
	private := w.peerOf(c).private.(metadata.Federation)
	private.IngressGateways = gateways
	w.peerOf(c).private = private
	known := w.poll(c)
	if used := known[0].Status.MetadataCache.Private.IngressGateways; !reflect.DeepEqual(used, gateways[1:]) {
		t.Errorf("used: %v", used)
	}
	w.network.APIServers = nil
	after := w.poll(known...)
	if used := after[0].Status.MetadataCache.Private.IngressGateways; !reflect.DeepEqual(used, gateways) {
		t.Errorf("used when the API server has moved: %v", used)
	}
	condition := meta.FindStatusCondition(after[0].Status.Conditions, v1alpha1.ConditionPrivateMetadata)
	if condition == nil || strings.Contains(condition.Message, "not used") {
		t.Errorf("still said: %+v", condition)
	}
}

// TestAPeerThatPublishesAnotherPeersRootDoesNotAffectThatPeer: the other's leaves are believed as before (package trustanchor), and nothing else of it changes.
func TestAPeerThatPublishesAnotherPeersRootDoesNotAffectThatPeer(t *testing.T) {
	w := newWorld(t)
	b, c := w.addPeer("b", "api.shop.svc.cluster-b.local"), w.addPeer("c")
	known := w.poll(b, c)
	before := w.learned("b", known)
	w.changePublic(c, func(_ testing.TB, public *metadata.Public) {
		public.RootCA = w.peerOf(b).public.(metadata.Public).RootCA
	})
	now := w.learned("b", w.poll(known...))
	if len(now.anchors) != 1 {
		t.Errorf("%d anchors of the honest peer", len(now.anchors))
	}
	before.anchors, now.anchors = nil, nil
	if !reflect.DeepEqual(before, now) {
		t.Errorf("what came from the honest peer was\n%+v\nand is\n%+v", before, now)
	}
}

// TestNothingIsRetainedOfAPeerWhoseResourceWasDeleted: of what was learned from the former nothing is left.
func TestNothingIsRetainedOfAPeerWhoseResourceWasDeleted(t *testing.T) {
	w := newWorld(t)
	b, c := w.addPeer("b", "api.shop.svc.cluster-b.local"), w.addPeer("c", "api.shop.svc.cluster-c.local")
	known := w.poll(b, c)
	before := w.learned("b", known)
	if deleted := w.learned("c", known[:1]); deleted.objects != nil || deleted.trusted != nil || len(deleted.anchors) > 0 {
		t.Errorf("after its resource was deleted: %+v", deleted)
	}
	w.changePublic(c, func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		public.ClusterUUID, public.RootCA = "uuid-new", newRootPEM(tb)
	})
	again := w.poll(known[0], c)
	if now := w.learned("b", again); !reflect.DeepEqual(before, now) {
		t.Errorf("what came from the honest peer was\n%+v\nand is\n%+v", before, now)
	}
	if now := w.learned("c", again); now.trusted == nil || now.trusted.ClusterUUID != "uuid-new" {
		t.Errorf("the newcomer: %+v", now)
	}
}
