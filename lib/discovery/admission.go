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
	"github.com/deckhouse-mesh/istio/lib/metadata"
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
	// Network is where no peer's gateway can be.
	Network metadata.Network
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

// Accepted returns the resources that count and whose identity is known,
// oldest first: what the rest of the module may act upon. elsewhere are the
// identities that resources of the other kind hold.
func Accepted(self Self, federations []v1alpha1.IstioFederation, elsewhere ...Claim) []v1alpha1.IstioFederation {
	refused := RefusedSpecs(self, federations)
	known := newIdentities(self, append(Claims(self, federations), elsewhere...))
	return slices.DeleteFunc(ByAge(federations), func(federation v1alpha1.IstioFederation) bool {
		if _, no := refused[federation.Name]; no || !cacheCounts(federation) {
			return true
		}
		return !known.holds(federationOwner(federation.Name), federation.Status.MetadataCache.Public.ClusterUUID)
	})
}

// cacheCounts is false when there is no cache, and when it was filled under
// another trust domain than that of the spec: its roots and keys are those of
// somebody else.
func cacheCounts(federation v1alpha1.IstioFederation) bool {
	cache := federation.Status.MetadataCache
	return cache.Public != nil && cache.TrustDomain == federation.Spec.TrustDomain
}
