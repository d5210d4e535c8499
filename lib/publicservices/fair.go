package publicservices

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// ReasonPeerLimit means that the cluster publishes more than its peers accept,
// and that this Service is beyond the share of its namespace.
const ReasonPeerLimit = "PeerLimitExceeded"

// cost is what a published Service uses of each limit that peers apply, in the order of limits.
type cost [resources]int

// Resources that peers bound (package metadata, limits).
const (
	serviceCount = iota
	endpointPorts
	plainBytes
	jsonObjects
	jsonValues
	compressedBytes
	resources
)

// limits of a document whose gateways use some of it.
func limitsBeside(gateways int, encodedGateways int) cost {
	// Room for what surrounds the lists.
	const frame = 1 << 10
	return cost{
		serviceCount:    metadata.MaxServices,
		endpointPorts:   metadata.MaxEndpointPorts,
		plainBytes:      metadata.MaxFederationBytes - encodedGateways - frame,
		jsonObjects:     metadata.MaxObjects - gateways - 2,
		jsonValues:      metadata.MaxValues - 2*gateways - 2,
		compressedBytes: metadata.MaxCacheBytes - encodedGateways - frame,
	}
}

// entry is a Service that may be published, its service accounts, and what it costs.
type entry struct {
	*Candidate
	accounts []string
	cost     cost
}

func newEntry(candidate *Candidate, accounts []string, gateways int) entry {
	size := len(candidate.opening) + len(`,"serviceAccounts":[]},`)
	for _, account := range accounts {
		size += len(account) + len(`"",`)
	}
	// hostname and ports, the three values of each port, the service accounts, and the list's own commas.
	listed := 2 + 3*candidate.ports + len(accounts) + 1
	return entry{candidate, accounts, cost{
		serviceCount: 1, endpointPorts: candidate.ports * gateways, plainBytes: size, jsonObjects: 1 + candidate.ports, jsonValues: listed,
	}}
}

func total(entries []entry) (sum cost) {
	for index := range entries {
		for resource, amount := range entries[index].cost {
			sum[resource] += amount
		}
	}
	return sum
}

func (c cost) within(limits cost) bool {
	for resource, amount := range c {
		if amount > limits[resource] {
			return false
		}
	}
	return true
}

// whole is all of a limit; a share is a part of that.
const whole int64 = 1_000_000_000_000

// share is the greatest part of any limit that c uses. Shares that add up to
// the whole are therefore within every limit.
func (c cost) share(limits cost) (share int64) {
	for resource, amount := range c {
		if amount > 0 {
			limit := int64(max(limits[resource], 1))
			share = max(share, (int64(amount)*whole+limit-1)/limit)
		}
	}
	return share
}

// fair divides what limits allow among namespaces: none gets less because
// another demands more (max-min fairness). Within a namespace the oldest
// Services are published. Everything is published when it fits.
func fair(entries []entry, limits cost) (published, surplus []entry) {
	if total(entries).within(limits) {
		return entries, nil
	}
	byNamespace := map[string][]entry{}
	for _, each := range entries {
		byNamespace[each.Namespace] = append(byNamespace[each.Namespace], each)
	}
	type demand struct {
		namespace string
		share     int64
	}
	demands := make([]demand, 0, len(byNamespace))
	for namespace, list := range byNamespace {
		wanted := demand{namespace: namespace}
		for _, each := range list {
			wanted.share = min(wanted.share+each.cost.share(limits), 2*whole)
		}
		demands = append(demands, wanted)
	}
	slices.SortFunc(demands, func(a, b demand) int {
		return cmp.Or(cmp.Compare(a.share, b.share), cmp.Compare(a.namespace, b.namespace))
	})
	left := whole
	for index, each := range demands {
		allotted := min(each.share, left/int64(len(demands)-index))
		left -= allotted
		in, out := oldest(byNamespace[each.namespace], allotted, limits)
		published, surplus = append(published, in...), append(surplus, out...)
	}
	slices.SortFunc(published, func(a, b entry) int { return cmp.Compare(a.hostname, b.hostname) })
	return published, surplus
}

// oldest splits the Services of a namespace into those that fit into its share, the oldest first, and the others.
func oldest(entries []entry, share int64, limits cost) (in, out []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.Name, b.Name))
	})
	for _, each := range entries {
		if needed := each.cost.share(limits); needed <= share {
			share -= needed
			in = append(in, each)
		} else {
			out = append(out, each)
		}
	}
	return in, out
}

func (c *Candidate) beyondShare() Rejection {
	return c.reject(ReasonPeerLimit, fmt.Sprintf(
		"this cluster's Services are more than its peers accept (%d Services, %d ports times gateways, %d KiB compressed), and namespace %s has used its share; publish fewer Services there, or with fewer ports",
		metadata.MaxServices, metadata.MaxEndpointPorts, metadata.MaxCacheBytes>>10, c.Namespace))
}
