package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

var (
	multiclustersPath = names.ValuesPath("internal.multiclusters")
	// gatewayWantedPath is true when some multicluster peer enters this cluster by its gateway.
	gatewayWantedPath = names.ValuesPath("internal.multiclusterWantsIngressGateway")
)

// multiclusterPeer is one entry of the values internal.multiclusters.
type multiclusterPeer struct {
	trustedPeer
	// NetworkName of the peer's Pods; empty before it is known.
	NetworkName string `json:"networkName"`
	// IngressGateways by which that network is entered; none where Pods reach each other directly.
	IngressGateways []metadata.IngressGateway `json:"ingressGateways"`
}

// gatewayWanted is true when peers enter this cluster by its gateway.
func gatewayWanted(in *sdk.HookInput) bool {
	return federationKind().enabled(in) || multiclusterKind().enabled(in) && in.Values.Get(gatewayWantedPath).Bool()
}

// multiclusterPeers adds the accepted clusters of the same mesh to entries and
// returns what the mesh needs of them. The gateway is wanted for resources that
// are not accepted yet, too: the peer waits for its address.
func multiclusterPeers(in *sdk.HookInput, entries map[string]peers.Entry) ([]multiclusterPeer, error) {
	found := []multiclusterPeer{}
	in.Values.Set(gatewayWantedPath, false)
	if !multiclusterKind().enabled(in) {
		return found, nil
	}
	resources, err := snapshot[v1alpha1.IstioMulticluster](in, "multiclusters")
	if err != nil {
		return nil, err
	}
	for _, resource := range resources {
		if resource.Spec.EntersByGateway() {
			in.Values.Set(gatewayWantedPath, true)
		}
	}
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	accepted, err := acceptedMulticlusters(in, "federations")
	if err != nil {
		return nil, err
	}
	for _, resource := range accepted {
		cluster := multiclusterPeer{trustedPeer: accept(entries, resource, this.TrustDomain), IngressGateways: []metadata.IngressGateway{}}
		if private := resource.Status.MetadataCache.Private; private != nil {
			cluster.NetworkName = private.NetworkName
			if resource.Spec.EntersByGateway() {
				cluster.IngressGateways = append(cluster.IngressGateways, private.IngressGateways...)
			}
		}
		found = append(found, cluster)
	}
	return found, nil
}
