package discovery

import (
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

const (
	// rootAllowance is how many bytes of root certificates, in DER, every peer may
	// have regardless of the others: two or three of them.
	rootAllowance = 4 << 10
	// rootPool is for what the peers of one kind have beyond that, all together. The Helm
	// release of the module contains roots several times and must fit into 1 MiB.
	rootPool = 48 << 10
)

// rootBudget knows how much of the pool each resource of a kind uses, by name.
type rootBudget map[string]int

func newRootBudget(resources []v1alpha1.Peer) rootBudget {
	budget := rootBudget{}
	for _, resource := range resources {
		if public := knownPublic(resource); public != nil {
			budget[resource.GetName()] = beyondAllowance(public.RootCA)
		}
	}
	return budget
}

// claim records the roots of a peer, unless the pool has no room for the addition.
// Fewer roots than before, or no more than the allowance, are never rejected.
func (b rootBudget) claim(name, bundle string) error {
	wanted, others := beyondAllowance(bundle), 0
	for other, used := range b {
		if other != name {
			others += used
		}
	}
	if wanted > b[name] && others+wanted > rootPool {
		return reject(string(peer.TooLarge),
			"the peer's root certificates have %d bytes; %d are always accepted, and of the %d bytes that all peers may have beyond that the others use %d. "+
				"What was learned before stays in force: publish fewer or smaller roots there.", derBytes(bundle), rootAllowance, rootPool, others)
	}
	b[name] = wanted
	return nil
}

func beyondAllowance(bundle string) int { return max(0, derBytes(bundle)-rootAllowance) }

// derBytes is about the size of a PEM bundle in DER.
func derBytes(bundle string) int { return len(bundle) * 3 / 4 }
