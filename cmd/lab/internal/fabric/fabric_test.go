package fabric

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

func mustPlan(t *testing.T, options plan.Options) *plan.Lab {
	t.Helper()
	lab, err := plan.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

func TestACutLinkDropsBothWaysAndOthersPass(t *testing.T) {
	lab := mustPlan(t, plan.Options{Clusters: 3, Nodes: 1, Mode: plan.Federation})
	pair, err := NewPair(lab, "cluster-c", "cluster-a")
	if err != nil {
		t.Fatal(err)
	}
	text := rules(lab, []Pair{pair})
	for _, want := range []string{`iifname "br-cluster-a" oifname "br-cluster-c" drop`, `iifname "br-cluster-c" oifname "br-cluster-a" drop`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "br-cluster-b") {
		t.Errorf("cluster-b is concerned:\n%s", text)
	}
	if whole := rules(lab, nil); strings.Contains(whole, "drop") || !strings.Contains(whole, "policy accept") {
		t.Errorf("without cuts:\n%s", whole)
	}
}

func TestALinkNeedsTwoExistingEnds(t *testing.T) {
	lab := mustPlan(t, plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Federation})
	for name, test := range map[string]struct{ one, other, want string }{
		"an unknown cluster":     {"cluster-a", "cluster-x", "cluster-a, cluster-b"},
		"the same cluster twice": {"cluster-a", "cluster-a", "two different"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewPair(lab, test.one, test.other); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}

func TestANodeRoutesToOtherNodesPodsByTheseNodes(t *testing.T) {
	lab := mustPlan(t, plan.Options{Clusters: 1, Nodes: 2, Mode: plan.Federation})
	cluster := &lab.Clusters[0]
	got := routesOf(cluster, &cluster.Nodes[1])
	if len(got) != 2 || got[0].to.Bits() != 0 || got[0].via != cluster.Gateway ||
		got[1].to != cluster.Nodes[0].Pods || got[1].via != cluster.Nodes[0].Address {
		t.Errorf("routes %+v", got)
	}
}

func TestPublicNamesAreAnswered(t *testing.T) {
	names := mustPlan(t, plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Federation}).PublicNames()
	for name, test := range map[string]struct {
		question string
		kind     dnsmessage.Type
		want     netip.Addr
		code     dnsmessage.RCode
	}{
		"a name of a cluster":                {"istio.cluster-b.lab.", dnsmessage.TypeA, netip.MustParseAddr("10.89.2.128"), dnsmessage.RCodeSuccess},
		"in whatever case":                   {"Istio.CLUSTER-a.Lab.", dnsmessage.TypeA, netip.MustParseAddr("10.89.1.128"), dnsmessage.RCodeSuccess},
		"the fabric's own":                   {"peer.host.lab.", dnsmessage.TypeA, plan.FabricAddress, dnsmessage.RCodeSuccess},
		"a name that has no such record":     {"istio.cluster-a.lab.", dnsmessage.TypeAAAA, netip.Addr{}, dnsmessage.RCodeSuccess},
		"a name of a cluster that is absent": {"istio.cluster-c.lab.", dnsmessage.TypeA, netip.Addr{}, dnsmessage.RCodeNameError},
		"a name of the world outside":        {"example.org.", dnsmessage.TypeA, netip.Addr{}, dnsmessage.RCodeNameError},
	} {
		t.Run(name, func(t *testing.T) {
			question := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(test.question), Type: test.kind, Class: dnsmessage.ClassINET}},
			}
			packet, err := question.Pack()
			if err != nil {
				t.Fatal(err)
			}
			packet, err = answer(packet, names)
			if err != nil {
				t.Fatal(err)
			}
			var reply dnsmessage.Message
			if err := reply.Unpack(packet); err != nil {
				t.Fatal(err)
			}
			var got netip.Addr
			for _, resource := range reply.Answers {
				if body, ok := resource.Body.(*dnsmessage.AResource); ok {
					got = netip.AddrFrom4(body.A)
				}
			}
			if got != test.want || reply.RCode != test.code || reply.ID != 7 || !reply.Response {
				t.Errorf("%v, %v, want %v, %v; reply %+v", got, reply.RCode, test.want, test.code, reply.Header)
			}
		})
	}
}

func TestAnswersAreNotAnswered(t *testing.T) {
	packet, err := (&dnsmessage.Message{Header: dnsmessage.Header{Response: true}}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, packet := range map[string][]byte{"an answer": packet, "no message at all": []byte("x")} {
		if reply, err := answer(packet, nil); err == nil {
			t.Errorf("%s got %v", name, reply)
		}
	}
}
