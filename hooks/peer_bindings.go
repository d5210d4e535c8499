package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

// binding to all resources of the kind.
func (k peerKind) binding(name, filter string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{Name: name, APIVersion: v1alpha1.APIVersion, Kind: k.kind, JqFilter: filter}
}

// federationsBinding subscribes to what decisions about IstioFederations need
// apart from conditions and timestamps, which change too often to act upon.
func federationsBinding() sdk.KubernetesConfig {
	return federationKind().binding("federations", `{
		metadata: {name: .metadata.name, uid: .metadata.uid, creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp},
		spec: {trustDomain: .spec.trustDomain, import: (.spec.import // [])},
		status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public, private: .status.metadataCache.private}}
	}`)
}

// multiclustersBinding subscribes to what decisions about IstioMulticlusters need
// apart from timestamps and most conditions, which change too often to act upon.
func multiclustersBinding() sdk.KubernetesConfig {
	return multiclusterKind().binding("multiclusters", `{
		metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp},
		spec: .spec,
		status: {
			metadataCache: {public: .status.metadataCache.public, private: .status.metadataCache.private},
			conditions: [.status.conditions[]? | select(.type == "`+v1alpha1.ConditionPublicMetadata+`") | {type, status, observedGeneration}]
		}
	}`)
}

// identitiesBinding has a snapshot of which resource of the kind holds which clusterUUID.
func (k peerKind) identitiesBinding() sdk.KubernetesConfig {
	return withoutEvents(k.binding(k.identities, `{
		metadata: {name: .metadata.name, creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp},
		spec: {trustDomain: .spec.trustDomain},
		status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public}}
	}`))
}

// statusesBinding has a snapshot of the kind's statuses.
func (k peerKind) statusesBinding(name string) sdk.KubernetesConfig {
	return withoutEvents(k.binding(name, `{
		metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation, resourceVersion: .metadata.resourceVersion, deletionTimestamp: .metadata.deletionTimestamp},
		status: (.status // {})
	}`))
}

// versionsBinding subscribes to the document versions that metadata-watcher reports of the kind's peers,
// by the name of the resource. There is no ConfigMap when the module has just been switched on.
func (k peerKind) versionsBinding() sdk.KubernetesConfig {
	return configMapBinding("versions", k.versions, `.data // {}`)
}

// acceptedFederations returns those of the binding "federations" that are accepted.
// multiclusters is the binding with the identities that the other kind holds.
func acceptedFederations(in *sdk.HookInput, read peerReader, multiclusters string) ([]*v1alpha1.IstioFederation, error) {
	return accepted[*v1alpha1.IstioFederation](in, read, "federations", multiclusterKind(), multiclusters)
}

// acceptedMulticlusters returns those of the binding "multiclusters" that are accepted.
// federations is the binding with the identities that the other kind holds.
func acceptedMulticlusters(in *sdk.HookInput, federations string) ([]*v1alpha1.IstioMulticluster, error) {
	return accepted[*v1alpha1.IstioMulticluster](in, multiclusterKind().newReader(), "multiclusters", federationKind(), federations)
}

func accepted[P v1alpha1.Peer](in *sdk.HookInput, read peerReader, binding string, other peerKind, identities string) ([]P, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	resources, err := read(in, binding)
	if err != nil {
		return nil, err
	}
	elsewhere, err := other.claims(in, this, identities)
	if err != nil {
		return nil, err
	}
	var found []P
	for _, resource := range discovery.Accepted(this, resources, elsewhere...) {
		if typed, ok := resource.(P); ok {
			found = append(found, typed)
		}
	}
	return found, nil
}
