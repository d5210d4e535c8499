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
	// Created is when the resource was created: of two that claim the same, the older holds it.
	Created     time.Time
	ClusterUUID string
}

// owner is the resource in messages and as a key.
type owner struct{ kind, name string }

func (o owner) String() string { return fmt.Sprintf("%s %q", o.kind, o.name) }

func ownerOf(resource v1alpha1.Peer) owner { return owner{resource.PeerKind(), resource.GetName()} }

// Claims are the identities that resources hold: those that are not rejected and
// whose peer's identity is known. All resources are of one kind.
func Claims(self Self, resources []v1alpha1.Peer) []Claim {
	rejected := Rejected(self, resources)
	var claims []Claim
	for _, resource := range resources {
		public := knownPublic(resource)
		if _, found := rejected[resource.GetName()]; found || public == nil {
			continue
		}
		claims = append(claims, Claim{
			Kind: resource.PeerKind(), Name: resource.GetName(),
			Created: resource.GetCreationTimestamp().Time, ClusterUUID: public.ClusterUUID,
		})
	}
	return claims
}

// identities knows which resource holds which cluster UUID.
type identities struct {
	self   Self
	holder map[string]owner
}

// newIdentities gives each identity to the oldest resource that claims it.
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

// claim records that the resource's peer says it is uuid, unless it cannot be.
func (k identities) claim(by owner, uuid string) error {
	holder, taken := k.holder[identity(uuid)]
	switch {
	case identity(uuid) == identity(k.self.ClusterUUID):
		return reject(ReasonClusterUUIDIsOwn,
			"the peer says its clusterUUID is %s, which is this cluster's own: does spec.metadataEndpoint lead back here?", uuid)
	case taken && holder != by:
		return reject(ReasonClusterUUIDTaken,
			"the peer says its clusterUUID is %s, which is that of %s: "+
				"either both resources lead to the same cluster, or one of the peers lies.", uuid, holder)
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

// networks knows which IstioMulticluster holds which network name. Gateways are
// chosen by it, so no peer may put its own in front of another's Pods.
type networks struct {
	self   Self
	holder map[string]string
}

func newNetworks(self Self, resources []v1alpha1.Peer) networks {
	known := networks{self: self, holder: map[string]string{}}
	for _, resource := range byAge(resources) {
		multicluster, ok := resource.(*v1alpha1.IstioMulticluster)
		if !ok || multicluster.Status.MetadataCache.Private == nil {
			continue
		}
		name := multicluster.Status.MetadataCache.Private.NetworkName
		if _, taken := known.holder[name]; !taken {
			known.holder[name] = multicluster.Name
		}
	}
	return known
}

// claim records that the peer of the IstioMulticluster has the network, unless it cannot have it.
func (n networks) claim(by, network string) error {
	holder, taken := n.holder[network]
	switch {
	case network == n.self.NetworkName():
		return reject(ReasonNetworkNameIsOwn,
			"the peer says its networkName is %q, which is this cluster's own: does spec.metadataEndpoint lead back here?", network)
	case taken && holder != by:
		return reject(ReasonNetworkNameTaken,
			"the peer says its networkName is %q, which is that of IstioMulticluster %q: each cluster has its own.", network, holder)
	}
	n.holder[network] = by
	return nil
}
