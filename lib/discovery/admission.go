// Package discovery finds out about neighbouring clusters: it decides which
// resources count, asks the peers behind them, judges the answers, and tells
// the outcome in the resources' status.
package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// Reasons why a resource or a peer's identity is refused.
const (
	ReasonTrustDomainIsOwn = "TrustDomainIsOwn"
	ReasonTrustDomainTaken = "TrustDomainTaken"
	ReasonClusterUUIDIsOwn = "ClusterUUIDIsOwn"
	ReasonClusterUUIDTaken = "ClusterUUIDTaken"
)

// Self is this cluster.
type Self struct {
	TrustDomain string
	ClusterUUID string
}

// Refusal is why something does not count, in the terms of a condition.
type Refusal struct {
	Reason  string
	Message string
}

// ByAge sorts resources oldest first, by name where the age is equal, so that
// conflicts end the same way whoever looks.
func ByAge(federations []v1alpha1.IstioFederation) []v1alpha1.IstioFederation {
	sorted := slices.Clone(federations)
	slices.SortFunc(sorted, func(a, b v1alpha1.IstioFederation) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return sorted
}

// RefusedSpecs names the resources whose spec contradicts this cluster or an
// older resource, by resource name.
func RefusedSpecs(self Self, federations []v1alpha1.IstioFederation) map[string]Refusal {
	refused := map[string]Refusal{}
	holder := map[string]string{}
	for _, federation := range ByAge(federations) {
		domain := federation.Spec.TrustDomain
		switch owner, taken := holder[domain]; {
		case domain == self.TrustDomain:
			refused[federation.Name] = Refusal{ReasonTrustDomainIsOwn, fmt.Sprintf(
				"spec.trustDomain %q is this cluster's own domain; federated clusters have different ones. "+
					"Clusters of the same domain are joined by an IstioMulticluster.", domain)}
		case taken:
			refused[federation.Name] = Refusal{ReasonTrustDomainTaken, fmt.Sprintf(
				"spec.trustDomain %q is already that of IstioFederation %q, which is older; delete one of the two.", domain, owner)}
		default:
			holder[domain] = federation.Name
		}
	}
	return refused
}

// identities knows which resource holds which cluster UUID.
type identities struct {
	self   Self
	holder map[string]string
}

// newIdentities reads the holders from the caches of the resources whose spec
// is not refused; where two claim the same, the older holds it.
func newIdentities(self Self, federations []v1alpha1.IstioFederation, refused map[string]Refusal) identities {
	known := identities{self: self, holder: map[string]string{}}
	for _, federation := range ByAge(federations) {
		if _, no := refused[federation.Name]; no || !cacheCounts(federation) {
			continue
		}
		uuid := identity(federation.Status.MetadataCache.Public.ClusterUUID)
		if _, taken := known.holder[uuid]; !taken {
			known.holder[uuid] = federation.Name
		}
	}
	return known
}

// claim records that the peer behind name says it is uuid, or tells why it cannot be.
func (k identities) claim(name, uuid string) *Refusal {
	owner, taken := k.holder[identity(uuid)]
	switch {
	case identity(uuid) == identity(k.self.ClusterUUID):
		return &Refusal{ReasonClusterUUIDIsOwn, fmt.Sprintf(
			"the peer says its clusterUUID is %s, which is this cluster's own: does spec.metadataEndpoint lead back here?", uuid)}
	case taken && owner != name:
		return &Refusal{ReasonClusterUUIDTaken, fmt.Sprintf(
			"the peer says its clusterUUID is %s, which is that of IstioFederation %q: "+
				"either both resources lead to the same cluster, or one of the peers lies.", uuid, owner)}
	}
	k.holder[identity(uuid)] = name
	return nil
}

// identity is how clusterUUIDs are compared: without regard to case (RFC 9562, section 4).
func identity(uuid string) string { return strings.ToLower(uuid) }

// Accepted returns the resources that count and whose identity is known,
// oldest first: what the rest of the module may act upon.
func Accepted(self Self, federations []v1alpha1.IstioFederation) []v1alpha1.IstioFederation {
	refused := RefusedSpecs(self, federations)
	known := newIdentities(self, federations, refused)
	return slices.DeleteFunc(ByAge(federations), func(federation v1alpha1.IstioFederation) bool {
		if _, no := refused[federation.Name]; no || !cacheCounts(federation) {
			return true
		}
		uuid := identity(federation.Status.MetadataCache.Public.ClusterUUID)
		return uuid == identity(self.ClusterUUID) || known.holder[uuid] != federation.Name
	})
}

// cacheCounts is false when there is no cache, and when it was filled under
// another trust domain than that of the spec: its roots and keys are those of
// somebody else.
func cacheCounts(federation v1alpha1.IstioFederation) bool {
	cache := federation.Status.MetadataCache
	return cache.Public != nil && cache.TrustDomain == federation.Spec.TrustDomain
}
