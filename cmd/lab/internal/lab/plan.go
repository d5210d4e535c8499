package lab

import (
	"fmt"
	"net/netip"
)

// MaxClusters in one lab: their names end in a letter.
const MaxClusters = 26

// plan is what is settled about a cluster before it exists. Ranges differ
// between the clusters of a lab, as those of real neighbours should.
type plan struct {
	name   string
	domain string
	// joins are those with other clusters, by their names: Federation or Multicluster.
	joins map[string]Mode
	// needs are the kinds of joins that the cluster's settings are to switch on.
	needs         []Mode
	podSubnet     netip.Prefix
	serviceSubnet netip.Prefix
	// nodeIP and the load balancers' addresses appear in statuses only; nothing listens there.
	nodeIP         netip.Addr
	loadBalancerIP netip.Addr
	ingressIP      netip.Addr
}

// meshDomain is that of all clusters of one mesh.
const meshDomain = "cluster.local"

// planClusters plans clusters that the mode can join: of one domain each for
// federation, all of the same domain for a multicluster; mixed, the last one is
// federated with the others, which are a multicluster. It is so by way of the
// first: a cluster has one IstioFederation for a trust domain.
func planClusters(n int, mode Mode) []plan {
	var plans []plan
	for i := range n {
		letter := string(rune('a' + i))
		domain, needs := "cluster-"+letter+".local", []Mode{mode}
		switch {
		case mode == Multicluster:
			domain = meshDomain
		case mode == Mixed && i < n-1:
			domain, needs = meshDomain, []Mode{Federation, Multicluster}
		case mode == Mixed:
			needs = []Mode{Federation}
		}
		plans = append(plans, plan{
			name:          "cluster-" + letter,
			domain:        domain,
			needs:         needs,
			podSubnet:     netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i), 0, 0}), 16),
			serviceSubnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(150 + i), 0, 0}), 16),
			nodeIP:        netip.AddrFrom4([4]byte{192, 168, byte(100 + i), 10}),
			// TEST-NET-3 of RFC 5737.
			loadBalancerIP: netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)}),
			ingressIP:      netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)}),
		})
	}
	for i := range plans {
		plans[i].joins = map[string]Mode{}
		for j, peer := range plans {
			switch {
			case i == j:
			case plans[i].domain == peer.domain:
				plans[i].joins[peer.name] = Multicluster
			case mode == Federation || i == 0 || j == 0:
				plans[i].joins[peer.name] = Federation
			}
		}
	}
	return plans
}

// publicHost is the name behind which the cluster serves its metadata.
func (p plan) publicHost() string { return fmt.Sprintf("istio.%s.lab", p.name) }

// apiHost is the name behind which the cluster serves its API to neighbours.
func (p plan) apiHost() string { return fmt.Sprintf("istio-api-proxy.%s.lab", p.name) }

// publicDomainTemplate is Deckhouse's setting that yields publicHost and apiHost.
func (p plan) publicDomainTemplate() string { return fmt.Sprintf("%%s.%s.lab", p.name) }
