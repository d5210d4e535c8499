package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Reasons why an IstioMulticluster or what its peer says is refused.
const (
	ReasonNameUnusable     = "NameUnusable"
	ReasonNetworkNameIsOwn = "NetworkNameIsOwn"
	ReasonNetworkNameTaken = "NetworkNameTaken"
)

// NetworkName is the Istio network of this cluster's Pods.
func (s Self) NetworkName() string { return metadata.NetworkName(s.TrustDomain, s.ClusterUUID) }

// MulticlustersByAge sorts resources oldest first, by name where the age is equal.
func MulticlustersByAge(multiclusters []v1alpha1.IstioMulticluster) []v1alpha1.IstioMulticluster {
	return slices.SortedFunc(slices.Values(multiclusters), func(a, b v1alpha1.IstioMulticluster) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

// RefusedMulticlusters names the resources that Istio could not work with, by resource name.
func RefusedMulticlusters(self Self, multiclusters []v1alpha1.IstioMulticluster) map[string]Refusal {
	refused := map[string]Refusal{}
	for _, multicluster := range multiclusters {
		name := multicluster.Name
		switch {
		// istiod calls the peer by this name, and refuses all networks because of one that it cannot read.
		case len(validation.IsDNS1123Label(name)) > 0:
			refused[name] = Refusal{ReasonNameUnusable, fmt.Sprintf(
				"Istio calls the peer by the name of this resource, and %q is not one that it takes: create the resource anew with a name of at most 63 small letters, digits and dashes.", name)}
		case identity(name) == identity(self.ClusterUUID):
			refused[name] = Refusal{ReasonNameUnusable,
				"Istio calls this cluster by its UUID, which is the name of this resource: create the resource anew with another name."}
		}
	}
	return refused
}

// MulticlusterClaims are the identities that IstioMulticlusters hold.
func MulticlusterClaims(self Self, multiclusters []v1alpha1.IstioMulticluster) []Claim {
	refused := RefusedMulticlusters(self, multiclusters)
	var claims []Claim
	for _, multicluster := range multiclusters {
		public := multicluster.Status.MetadataCache.Public
		if _, no := refused[multicluster.Name]; no || public == nil {
			continue
		}
		claims = append(claims, Claim{
			Kind: v1alpha1.IstioMulticlusterKind, Name: multicluster.Name,
			Created: multicluster.CreationTimestamp.Time, ClusterUUID: public.ClusterUUID,
		})
	}
	return claims
}

// AcceptedMulticlusters returns the resources that count and whose identity is
// known, oldest first: what the rest of the module may act upon. elsewhere are
// the identities that resources of the other kind hold.
func AcceptedMulticlusters(self Self, multiclusters []v1alpha1.IstioMulticluster, elsewhere ...Claim) []v1alpha1.IstioMulticluster {
	refused := RefusedMulticlusters(self, multiclusters)
	known := newIdentities(self, append(MulticlusterClaims(self, multiclusters), elsewhere...))
	return slices.DeleteFunc(MulticlustersByAge(multiclusters), func(multicluster v1alpha1.IstioMulticluster) bool {
		public := multicluster.Status.MetadataCache.Public
		if _, no := refused[multicluster.Name]; no || public == nil {
			return true
		}
		return !known.holds(multiclusterOwner(multicluster.Name), public.ClusterUUID)
	})
}

// networks knows which resource holds which network name. Gateways are chosen by
// it, so no peer may put its own in front of another's Pods.
type networks struct {
	self   Self
	holder map[string]string
}

func newNetworks(self Self, multiclusters []v1alpha1.IstioMulticluster) networks {
	known := networks{self: self, holder: map[string]string{}}
	for _, multicluster := range MulticlustersByAge(multiclusters) {
		private := multicluster.Status.MetadataCache.Private
		if private == nil {
			continue
		}
		if _, taken := known.holder[private.NetworkName]; !taken {
			known.holder[private.NetworkName] = multicluster.Name
		}
	}
	return known
}

// claim records that the peer behind the resource has the network, or tells why it cannot have it.
func (n networks) claim(resource v1alpha1.IstioMulticluster, network string) *Refusal {
	holder, taken := n.holder[network]
	switch {
	case network == n.self.NetworkName():
		return &Refusal{ReasonNetworkNameIsOwn, fmt.Sprintf(
			"the peer says its networkName is %q, which is this cluster's own: does spec.metadataEndpoint lead back here?", network)}
	case taken && holder != resource.Name:
		return &Refusal{ReasonNetworkNameTaken, fmt.Sprintf(
			"the peer says its networkName is %q, which is that of IstioMulticluster %q: each cluster has its own.", network, holder)}
	}
	n.holder[network] = resource.Name
	return nil
}
