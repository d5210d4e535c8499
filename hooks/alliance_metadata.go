package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

const (
	remotePublicMetadataPath = "istio.internal.remotePublicMetadata"
	federationsPath          = "istio.internal.federations"
)

// trustedFederation is one entry of the values internal.federations.
type trustedFederation struct {
	Name        string `json:"name"`
	TrustDomain string `json:"trustDomain"`
	// RootCA is what the peer says; not for the mesh, where it would count for every domain.
	RootCA string `json:"rootCA"`
	// Anchors stand for RootCA in the mesh: PEM certificates, one an entry,
	// that count for TrustDomain only (package trustanchor).
	Anchors []string `json:"anchors"`
}

// allianceMetadata turns the status of all neighbours into values: whose
// tokens are accepted, and whose roots are trusted. Published services are not
// among them, so a Service that comes or goes causes no Helm upgrade.
func allianceMetadata() hookruntime.Hook {
	binding := federationsBinding()
	binding.JqFilter = `{
		metadata: {name: .metadata.name, uid: .metadata.uid, creationTimestamp: .metadata.creationTimestamp},
		spec: {trustDomain: .spec.trustDomain},
		status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public}}
	}`
	return hookruntime.Hook{
		Name: "alliance_metadata",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 20},
			Queue:        "/modules/istio/alliance-metadata",
			// A floor under another operator than ours, whose queues may lose events (cmd/operator/internal/operator/queues.go):
			// trust that was withdrawn must not last. It renews anchors, too.
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				binding,
				multiclustersBinding(),
				secretBinding("anchors", operatorNamespace, anchorsSecret),
			},
		},
		Run: runAllianceMetadata,
	}
}

func runAllianceMetadata(_ context.Context, in *sdk.HookInput) error {
	neighbours := map[string]peers.Entry{}
	federations := []trustedFederation{}
	if in.Values.Get(federationEnabledPath).Bool() {
		accepted, err := acceptedFederations(in, "multiclusters")
		if err != nil {
			return err
		}
		for _, resource := range accepted {
			public := resource.Status.MetadataCache.Public
			neighbours[public.ClusterUUID] = peers.Entry{
				Kind: v1alpha1.IstioFederationKind, Name: resource.Name, ResourceUID: resource.UID,
				ClusterUUID: public.ClusterUUID, TrustDomain: resource.Spec.TrustDomain,
				AuthnKeyPub: public.AuthnKeyPub, RootCA: public.RootCA,
			}
			federations = append(federations, trustedFederation{
				Name: resource.Name, TrustDomain: resource.Spec.TrustDomain, RootCA: public.RootCA,
			})
		}
	}
	multiclusters, err := meshedClusters(in, neighbours)
	if err != nil {
		return err
	}
	if err := setAnchors(in, federations, multiclusters); err != nil {
		return err
	}
	in.Values.Set(remotePublicMetadataPath, neighbours)
	in.Values.Set(federationsPath, federations)
	in.Values.Set(multiclustersPath, multiclusters)
	return nil
}
