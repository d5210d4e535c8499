package federation_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// desk accumulates what Plans returns, as its users do.
type desk struct {
	plans  federation.Plans
	wanted map[federation.Key]federation.Object
}

// next returns how many objects changed and were removed.
func (d *desk) next(peers ...federation.Peer) (changed, removed int) {
	objects, keys := d.plans.Next(peers)
	if d.wanted == nil {
		d.wanted = map[federation.Key]federation.Object{}
	}
	for _, key := range keys {
		delete(d.wanted, key)
	}
	for _, object := range objects {
		d.wanted[object.Key()] = object
	}
	return len(objects), len(keys)
}

// agrees compares with what Objects makes of the same peers.
func (d *desk) agrees(t *testing.T, peers ...federation.Peer) {
	t.Helper()
	if want := objectsOf(t, peers...); len(want) != len(d.wanted) {
		t.Fatalf("%d objects are wanted, Objects makes %d", len(d.wanted), len(want))
	}
	for _, object := range federation.Objects(peers) {
		if got := d.wanted[object.Key()]; !reflect.DeepEqual(got, object) {
			t.Fatalf("%v is wanted as %v, Objects makes %v", object.Key(), got, object)
		}
	}
}

func some(names ...string) (services []metadata.PublicService) {
	for _, name := range names {
		services = append(services, service(name+".shop.svc."+domain))
	}
	return services
}

func TestPlansReturnChangesOnly(t *testing.T) {
	before := peerB(ipGateway(), some("a", "b", "c")...)
	with := func(change func(*federation.Peer)) federation.Peer {
		changed := before
		changed.Services = some("a", "b", "c")
		change(&changed)
		return changed
	}
	for name, test := range map[string]struct {
		after            federation.Peer
		changed, removed int
	}{
		"nothing":                             {before, 0, 0},
		"an equal answer":                     {with(func(*federation.Peer) {}), 0, 0},
		"one service more":                    {with(func(p *federation.Peer) { p.Services = some("a", "aa", "b", "c") }), 2, 0},
		"one service less":                    {with(func(p *federation.Peer) { p.Services = some("a", "c") }), 0, 2},
		"another in the place of one":         {with(func(p *federation.Peer) { p.Services = some("a", "b", "d") }), 2, 2},
		"a port of one service":               {with(func(p *federation.Peer) { p.Services[1].Ports[0].Port++ }), 2, 0},
		"a service account of one":            {with(func(p *federation.Peer) { p.Services[1].ServiceAccounts = []string{"shop/b"} }), 2, 0},
		"one service that cannot be any more": {with(func(p *federation.Peer) { p.Services[1].Ports[0].Protocol = "UDP" }), 0, 2},
		"one of a foreign domain":             {with(func(p *federation.Peer) { p.Services[2].Hostname = "z.shop.svc.elsewhere" }), 0, 2},
		"one of a hostname that is none":      {with(func(p *federation.Peer) { p.Services[2].Hostname = "z" }), 0, 2},
		"the gateway, which all of them have": {with(func(p *federation.Peer) { p.Gateways = []metadata.IngressGateway{{Address: "192.0.2.9", Port: 1}} }), 6, 0},
		"no gateway any more":                 {with(func(p *federation.Peer) { p.Gateways = nil }), 0, 6},
		"only one is imported":                {with(func(p *federation.Peer) { p.Import = []string{"b.shop"} }), 2, 4},
		"the same in disorder":                {with(func(p *federation.Peer) { p.Services = some("c", "a", "b") }), 0, 0},
		"the same with one twice":             {with(func(p *federation.Peer) { p.Services = some("a", "b", "b", "c") }), 0, 0},
		"the domain, which none of them has":  {with(func(p *federation.Peer) { p.TrustDomain = "other.local" }), 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			var d desk
			d.next(before)
			d.agrees(t, before)
			changed, removed := d.next(test.after)
			d.agrees(t, test.after)
			if changed != test.changed || removed != test.removed {
				t.Errorf("%d changed and %d are removed, want %d and %d", changed, removed, test.changed, test.removed)
			}
			d.next()
			d.agrees(t)
		})
	}
}

func TestPlansAddUpToObjectsAfterAnyChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(one, other string) string {
		if random.IntN(4) == 0 {
			return other
		}
		return one
	}
	var d desk
	for range 300 {
		var peers []federation.Peer
		for _, name := range []string{"b", "c"} {
			if random.IntN(8) == 0 {
				continue
			}
			peer := federation.Peer{Name: name, TrustDomain: pick(domain, "other.local"), Gateways: ipGateway()}
			if random.IntN(6) == 0 {
				peer.Gateways = append(peer.Gateways, metadata.IngressGateway{Address: "gateway.example", Port: 443})
			}
			if random.IntN(6) == 0 {
				peer.Import = []string{"s-1*.shop"}
			}
			for index := range random.IntN(20) {
				each := service(fmt.Sprintf("s-%02d.shop.svc.%s", index, pick(peer.TrustDomain, "elsewhere")))
				each.Ports[0].Protocol = pick("HTTP", "UDP")
				peer.Services = append(peer.Services, each)
			}
			if random.IntN(3) == 0 {
				random.Shuffle(len(peer.Services), func(i, j int) {
					peer.Services[i], peer.Services[j] = peer.Services[j], peer.Services[i]
				})
			}
			peers = append(peers, peer)
		}
		d.next(peers...)
		d.agrees(t, peers...)
	}
}

// BenchmarkOneMore is what one more service costs the decision.
func BenchmarkOneMore(b *testing.B) {
	forSizes(b, func(b *testing.B, services []metadata.PublicService) {
		b.Helper()
		both := [2]federation.Peer{peerB(ipGateway(), services[:len(services)-1]...), peerB(ipGateway(), services...)}
		var plans federation.Plans
		plans.Next(both[:1])
		for index := 1; b.Loop(); index++ {
			if changed, removed := plans.Next(both[index%2 : index%2+1]); len(changed)+len(removed) != 2 {
				b.Fatal(len(changed), len(removed))
			}
		}
	})
}
