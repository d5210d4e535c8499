package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

// multiclustersBinding subscribes to what decisions about IstioMulticlusters need
// besides timestamps and most conditions, which change too often to act upon.
func multiclustersBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:       "multiclusters",
		APIVersion: v1alpha1.APIVersion,
		Kind:       v1alpha1.IstioMulticlusterKind,
		JqFilter: `{
			metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp},
			spec: .spec,
			status: {
				metadataCache: {public: .status.metadataCache.public, private: .status.metadataCache.private},
				conditions: [.status.conditions[]? | select(.type == "` + v1alpha1.ConditionPublicMetadata + `") | {type, status, observedGeneration}]
			}
		}`,
	}
}

// multiclusterIdentitiesBinding keeps a snapshot of who holds which clusterUUID, without waking the hook.
func multiclusterIdentitiesBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "multicluster_identities",
		APIVersion:                   v1alpha1.APIVersion,
		Kind:                         v1alpha1.IstioMulticlusterKind,
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter: `{
			metadata: {name: .metadata.name, creationTimestamp: .metadata.creationTimestamp},
			status: {metadataCache: {public: .status.metadataCache.public}}
		}`,
	}
}

// federationIdentitiesBinding is multiclusterIdentitiesBinding for the other kind.
func federationIdentitiesBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "federation_identities",
		APIVersion:                   v1alpha1.APIVersion,
		Kind:                         v1alpha1.IstioFederationKind,
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter: `{
			metadata: {name: .metadata.name, creationTimestamp: .metadata.creationTimestamp},
			spec: {trustDomain: .spec.trustDomain},
			status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public}}
		}`,
	}
}

// multiclusterClaims are the identities that IstioMulticlusters hold; none while multicluster is off.
func multiclusterClaims(in *sdk.HookInput, this discovery.Self, binding string) ([]discovery.Claim, error) {
	if !in.Values.Get(multiclusterEnabledPath).Bool() {
		return nil, nil
	}
	resources, err := snapshot[v1alpha1.IstioMulticluster](in, binding)
	if err != nil {
		return nil, err
	}
	return discovery.MulticlusterClaims(this, resources), nil
}

// federationClaims are the identities that IstioFederations hold; none while federation is off.
func federationClaims(in *sdk.HookInput, this discovery.Self, binding string) ([]discovery.Claim, error) {
	if !in.Values.Get(federationEnabledPath).Bool() {
		return nil, nil
	}
	resources, err := snapshot[v1alpha1.IstioFederation](in, binding)
	if err != nil {
		return nil, err
	}
	return discovery.Claims(this, resources), nil
}

// acceptedFederations reads the binding "federations" and leaves out what does not count; multiclusters is the binding with the identities of the other kind.
func acceptedFederations(in *sdk.HookInput, multiclusters string) ([]v1alpha1.IstioFederation, error) {
	resources, err := snapshot[v1alpha1.IstioFederation](in, "federations")
	if err != nil {
		return nil, err
	}
	return acceptedOf(in, resources, multiclusters)
}

// acceptedOf leaves out of IstioFederations what does not count.
func acceptedOf(in *sdk.HookInput, resources []v1alpha1.IstioFederation, multiclusters string) ([]v1alpha1.IstioFederation, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	elsewhere, err := multiclusterClaims(in, this, multiclusters)
	if err != nil {
		return nil, err
	}
	return discovery.Accepted(this, resources, elsewhere...), nil
}

// acceptedMulticlusters reads the binding "multiclusters" and leaves out what does not count; federations is the binding with the identities of the other kind.
func acceptedMulticlusters(in *sdk.HookInput, federations string) ([]v1alpha1.IstioMulticluster, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	resources, err := snapshot[v1alpha1.IstioMulticluster](in, "multiclusters")
	if err != nil {
		return nil, err
	}
	elsewhere, err := federationClaims(in, this, federations)
	if err != nil {
		return nil, err
	}
	return discovery.AcceptedMulticlusters(this, resources, elsewhere...), nil
}
