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

// byAge sorts resources oldest first, by name where the age is equal, so that
// conflicts always end the same way.
func byAge(resources []v1alpha1.Peer) []v1alpha1.Peer {
	return slices.SortedFunc(slices.Values(resources), func(a, b v1alpha1.Peer) int {
		return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), strings.Compare(a.GetName(), b.GetName()))
	})
}

// Rejected names the resources that contradict this cluster or an older resource
// of their kind, by resource name. All resources are of one kind.
func Rejected(self Self, resources []v1alpha1.Peer) map[string]Rejection {
	rejected := map[string]Rejection{}
	domains := domains{self: self, holder: map[string]string{}}
	for _, resource := range byAge(resources) {
		var rejection *Rejection
		switch resource := resource.(type) {
		case *v1alpha1.IstioFederation:
			rejection = domains.claim(resource)
		case *v1alpha1.IstioMulticluster:
			rejection = unusableName(self, resource.Name)
		}
		if rejection != nil {
			rejected[resource.GetName()] = *rejection
		}
	}
	return rejected
}

// domains knows which IstioFederation holds which trust domain.
type domains struct {
	self   Self
	holder map[string]string
}

func (d domains) claim(resource *v1alpha1.IstioFederation) *Rejection {
	domain := resource.Spec.TrustDomain
	holder, taken := d.holder[domain]
	switch {
	case domain == d.self.TrustDomain:
		return &Rejection{ReasonTrustDomainIsOwn, fmt.Sprintf(
			"spec.trustDomain %q is this cluster's own domain; federated clusters have different ones. "+
				"For a cluster of the same domain, create an IstioMulticluster.", domain)}
	case domain == "svc."+d.self.TrustDomain || strings.HasSuffix(domain, ".svc."+d.self.TrustDomain):
		return &Rejection{ReasonTrustDomainIsOwn, fmt.Sprintf(
			"spec.trustDomain %q is among the names of this cluster's own Services (svc.%s): a Pod's search list would lead there first. "+
				"Name the peer's own cluster domain.", domain, d.self.TrustDomain)}
	case taken:
		return &Rejection{ReasonTrustDomainTaken, fmt.Sprintf(
			"spec.trustDomain %q is already that of IstioFederation %q, which is older; delete one of the two.", domain, holder)}
	}
	d.holder[domain] = resource.Name
	return nil
}

// unusableName is why Istio cannot work with an IstioMulticluster of this name: it
// is what istiod calls the peer, and istiod rejects all networks because of one name that it cannot read.
func unusableName(self Self, name string) *Rejection {
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		return &Rejection{ReasonNameUnusable, fmt.Sprintf(
			"Istio calls the peer by the name of this resource and does not accept %q: create the resource again with a name of at most 63 small letters, digits and dashes.", name)}
	case identity(name) == identity(self.ClusterUUID):
		return &Rejection{ReasonNameUnusable,
			"Istio calls this cluster by its UUID, which is the name of this resource: create the resource again with another name."}
	}
	return nil
}

// Accepted returns the resources that are not rejected and whose peer's identity
// is known, oldest first: what the rest of the module may act upon. elsewhere are
// the identities that resources of the other kind hold.
func Accepted(self Self, resources []v1alpha1.Peer, elsewhere ...Claim) []v1alpha1.Peer {
	rejected := Rejected(self, resources)
	known := newIdentities(self, append(Claims(self, resources), elsewhere...))
	return slices.DeleteFunc(byAge(resources), func(resource v1alpha1.Peer) bool {
		_, found := rejected[resource.GetName()]
		public := knownPublic(resource)
		return found || public == nil || !known.holds(ownerOf(resource), public.ClusterUUID)
	})
}

// knownPublic is what was learned of the peer's identity under the spec's trust
// domain. Under another one, the roots and keys are those of another peer.
func knownPublic(resource v1alpha1.Peer) *metadata.Public {
	if federation, ok := resource.(*v1alpha1.IstioFederation); ok && federation.Status.MetadataCache.TrustDomain != federation.Spec.TrustDomain {
		return nil
	}
	return resource.PeerCache().Public
}
