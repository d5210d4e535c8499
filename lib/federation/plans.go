package federation

import (
	"cmp"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Plans remembers what peers offered, so that the cost of a change depends on the
// change and not on how many services exist. With nothing remembered, Next returns
// what Objects does.
//
// The zero value remembers nothing. It is not safe for concurrent use.
type Plans struct{ byPeer map[string]Peer }

// Next takes what is known of all peers now. It returns the objects that Objects
// would make of it, without those of services that have not changed since the
// last time, and the keys of objects that may have been wanted then and are not now.
//
// The contents of peers are remembered, not copied, and must not be changed afterwards.
func (p *Plans) Next(peers []Peer) (changed []Object, removed []Key) {
	next := make(map[string]Peer, len(peers))
	for _, peer := range peers {
		before, known := p.byPeer[peer.Name]
		if peer.Unknown {
			if known {
				next[peer.Name] = before
			}
			continue
		}
		peer.Gateways = metadata.SortedGateways(peer.Gateways)
		if len(peer.Gateways) == 0 {
			peer.Services = nil // as Objects has it
		}
		if !inOrder(peer.Services) {
			// Which of two services with one hostname is used depends on all services.
			peer.Services = Judge(peer.Services, peer.TrustDomain).Accepted
		}
		next[peer.Name] = peer
		objects, keys := peer.since(before)
		changed, removed = append(changed, objects...), append(removed, keys...)
	}
	for name, before := range p.byPeer {
		if _, retained := next[name]; !retained {
			for _, service := range before.Services {
				removed = append(removed, keysOf(before, service)...)
			}
		}
	}
	p.byPeer = next
	return changed, removed
}

// since returns what has changed; services of both are in order, and gateways are sorted.
func (p Peer) since(before Peer) (changed []Object, removed []Key) {
	alike := p.TrustDomain == before.TrustDomain && slices.Equal(p.Import, before.Import) && slices.Equal(p.Gateways, before.Gateways)
	if alike && sameSlice(p.Services, before.Services) {
		return nil, nil
	}
	var added, known []metadata.PublicService
	old := before.Services
	for _, service := range p.Services {
		for len(old) > 0 && old[0].Hostname < service.Hostname {
			removed, old = append(removed, keysOf(before, old[0])...), old[1:]
		}
		was := len(old) > 0 && old[0].Hostname == service.Hostname
		if was && alike && old[0].Equal(service) {
			old = old[1:]
			continue
		}
		added = append(added, service)
		if was {
			known, old = append(known, service), old[1:]
		}
	}
	for _, service := range old {
		removed = append(removed, keysOf(before, service)...)
	}

	wanted := Import(Judge(added, p.TrustDomain).Accepted, p.Import)
	for _, service := range wanted {
		changed = append(changed, objectsOf(p, service, p.Gateways)...)
	}
	for _, service := range known {
		if _, found := slices.BinarySearchFunc(wanted, service, byHostname); !found {
			removed = append(removed, keysOf(before, service)...)
		}
	}
	return changed, removed
}

func byHostname(a, b metadata.PublicService) int { return cmp.Compare(a.Hostname, b.Hostname) }

// inOrder is true for services sorted by hostname, each hostname once.
func inOrder(services []metadata.PublicService) bool {
	for index := 1; index < len(services); index++ {
		if services[index-1].Hostname >= services[index].Hostname {
			return false
		}
	}
	return true
}

// sameSlice is true for the very same list, not for an equal one.
func sameSlice(a, b []metadata.PublicService) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// keysOf are the keys of the objects that a service has if it is accepted; none
// where its hostname is not accepted, since they would be another service's.
func keysOf(peer Peer, service metadata.PublicService) []Key {
	if _, err := checkHostname(service.Hostname, peer.TrustDomain); err != nil {
		return nil
	}
	name := objectName(peer.Name, service.Hostname)
	return []Key{{ServiceEntryKind, name}, {DestinationRuleKind, name}}
}
