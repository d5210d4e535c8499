package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

var (
	remotePublicMetadataPath = names.ValuesPath("internal.remotePublicMetadata")
	federationsPath          = names.ValuesPath("internal.federations")
)

// trustedPeer is one entry of the values internal.federations, and what one of
// internal.multiclusters has in common with it.
type trustedPeer struct {
	Name string `json:"name"`
	// TrustDomain bounds the anchors. That of a multicluster peer is this cluster's own, so that
	// its roots are trusted for the common mesh and not for federated clusters.
	TrustDomain string `json:"trustDomain"`
	// RootCA is what the peer publishes; not a value, where it would count against the size of a
	// Helm release, and not for the mesh, where it would be trusted for every domain.
	RootCA string `json:"-"`
	// Anchors replace RootCA in the mesh: PEM certificates, one an entry,
	// that are trusted for TrustDomain only (package trustanchor).
	Anchors []string `json:"anchors"`
}

// accept adds the peer to entries, and returns what the mesh trusts of it.
func accept(entries map[string]peers.Entry, resource v1alpha1.Peer, trustDomain string) trustedPeer {
	entry := entryOf(resource, trustDomain)
	entries[entry.ClusterUUID] = entry
	return trustedPeer{Name: entry.Name, TrustDomain: trustDomain, RootCA: entry.RootCA}
}

// entryOf a resource whose peer's identity is known.
func entryOf(resource v1alpha1.Peer, trustDomain string) peers.Entry {
	public := resource.PeerCache().Public
	return peers.Entry{
		Kind: resource.PeerKind(), Name: resource.GetName(), ResourceUID: resource.GetUID(),
		ClusterUUID: public.ClusterUUID, TrustDomain: trustDomain, AuthnKeyPub: public.AuthnKeyPub, RootCA: public.RootCA,
	}
}

// allianceMetadata turns the status of all peers into values: which peers' tokens
// are accepted, and which roots are trusted. Published services are not among
// them, so a new or deleted Service causes no Helm upgrade.
func allianceMetadata() hookruntime.Hook {
	binding := federationsBinding()
	binding.JqFilter = `{
		metadata: {name: .metadata.name, uid: .metadata.uid, creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp},
		spec: {trustDomain: .spec.trustDomain},
		status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public}}
	}`
	return hookruntime.Hook{
		Name: "alliance_metadata",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderPeers),
			Queue:        "/modules/istio/alliance-metadata",
			// For an operator other than ours, whose queues may lose events (cmd/operator/internal/operator/queues.go): trust that was
			// withdrawn must not last. It renews anchors, too.
			Schedule: []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{
				binding,
				multiclustersBinding(),
				secretBinding("anchors", names.OperatorNamespace, anchorsSecret),
				secretBinding("peer-roots", names.OperatorNamespace, peerRootsSecret),
				meshConfigurationsBinding(),
			},
		},
		Run: runAllianceMetadata,
	}
}

func runAllianceMetadata(ctx context.Context, in *sdk.HookInput) error {
	entries, last := map[string]peers.Entry{}, map[string]peers.Entry{}
	if err := settings(in, remotePublicMetadataPath, &last); err != nil {
		return err
	}
	federations := []trustedPeer{}
	if federationKind().enabled(in) {
		accepted, err := acceptedFederations(in, federationKind().newReader(), "multiclusters")
		if err != nil {
			return err
		}
		for _, resource := range accepted {
			federations = append(federations, accept(entries, resource, resource.Spec.TrustDomain))
		}
	}
	multiclusters, err := multiclusterPeers(in, entries)
	if err != nil {
		return err
	}
	if err := setAnchors(in, federations, multiclusters); err != nil {
		return err
	}
	if err := withdrawTrust(ctx, in, federations, multiclusters); err != nil {
		return err
	}
	if err := setSharedRoots(in, entries, last); err != nil {
		return err
	}
	in.Values.Set(remotePublicMetadataPath, entries)
	in.Values.Set(federationsPath, federations)
	in.Values.Set(multiclustersPath, multiclusters)
	return nil
}
