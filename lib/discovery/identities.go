package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// Claim is the clusterUUID that a resource has learned of its peer.
type Claim struct {
	// Kind and Name of the resource.
	Kind, Name string
	// Created is when the resource was: of two that claim the same, the older holds it.
	Created     time.Time
	ClusterUUID string
}

// owner is the resource in messages and as a key.
type owner struct{ kind, name string }

func (o owner) String() string { return fmt.Sprintf("%s %q", o.kind, o.name) }

func federationOwner(name string) owner { return owner{v1alpha1.IstioFederationKind, name} }

func multiclusterOwner(name string) owner { return owner{v1alpha1.IstioMulticlusterKind, name} }

// Claims are the identities that IstioFederations hold: those whose spec is not
// refused and whose cache counts.
func Claims(self Self, federations []v1alpha1.IstioFederation) []Claim {
	refused := RefusedSpecs(self, federations)
	var claims []Claim
	for _, federation := range federations {
		if _, no := refused[federation.Name]; no || !cacheCounts(federation) {
			continue
		}
		claims = append(claims, Claim{
			Kind: v1alpha1.IstioFederationKind, Name: federation.Name,
			Created: federation.CreationTimestamp.Time, ClusterUUID: federation.Status.MetadataCache.Public.ClusterUUID,
		})
	}
	return claims
}

// identities knows which resource holds which cluster UUID.
type identities struct {
	self   Self
	holder map[string]owner
}

// newIdentities settles who holds what: where two claim the same, the older.
func newIdentities(self Self, claims []Claim) identities {
	known := identities{self: self, holder: map[string]owner{}}
	sorted := slices.SortedFunc(slices.Values(claims), func(a, b Claim) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	for _, claim := range sorted {
		uuid := identity(claim.ClusterUUID)
		if _, taken := known.holder[uuid]; !taken {
			known.holder[uuid] = owner{claim.Kind, claim.Name}
		}
	}
	return known
}

// claim records that the peer behind the resource says it is uuid, or tells why it cannot be.
func (k identities) claim(by owner, uuid string) *Refusal {
	holder, taken := k.holder[identity(uuid)]
	switch {
	case identity(uuid) == identity(k.self.ClusterUUID):
		return &Refusal{ReasonClusterUUIDIsOwn, fmt.Sprintf(
			"the peer says its clusterUUID is %s, which is this cluster's own: does spec.metadataEndpoint lead back here?", uuid)}
	case taken && holder != by:
		return &Refusal{ReasonClusterUUIDTaken, fmt.Sprintf(
			"the peer says its clusterUUID is %s, which is that of %s: "+
				"either both resources lead to the same cluster, or one of the peers lies.", uuid, holder)}
	}
	k.holder[identity(uuid)] = by
	return nil
}

// holds is true when uuid is the resource's, and not this cluster's own.
func (k identities) holds(by owner, uuid string) bool {
	return identity(uuid) != identity(k.self.ClusterUUID) && k.holder[identity(uuid)] == by
}

// identity is how clusterUUIDs are compared: without regard to case (RFC 9562, section 4).
func identity(uuid string) string { return strings.ToLower(uuid) }
