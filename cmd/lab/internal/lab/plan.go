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
	name          string
	domain        string
	podSubnet     netip.Prefix
	serviceSubnet netip.Prefix
	// nodeIP and the load balancers' addresses appear in statuses only; nothing listens there.
	nodeIP         netip.Addr
	loadBalancerIP netip.Addr
	ingressIP      netip.Addr
}

func planClusters(n int) []plan {
	var plans []plan
	for i := range n {
		letter := string(rune('a' + i))
		plans = append(plans, plan{
			name:          "cluster-" + letter,
			domain:        "cluster-" + letter + ".local",
			podSubnet:     netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i), 0, 0}), 16),
			serviceSubnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(150 + i), 0, 0}), 16),
			nodeIP:        netip.AddrFrom4([4]byte{192, 168, byte(100 + i), 10}),
			// TEST-NET-3 of RFC 5737.
			loadBalancerIP: netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)}),
			ingressIP:      netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)}),
		})
	}
	return plans
}

// publicHost is the name behind which the cluster serves its metadata.
func (p plan) publicHost() string { return fmt.Sprintf("istio.%s.lab", p.name) }

// publicDomainTemplate is Deckhouse's setting that yields publicHost.
func (p plan) publicDomainTemplate() string { return fmt.Sprintf("%%s.%s.lab", p.name) }
