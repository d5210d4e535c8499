package hooks

import (
	"context"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const federationServicesQueue = "/modules/istio/federation-services"

// federationServices maintains a ServiceEntry and a DestinationRule for every
// imported service, and writes only differences.
//
// In a process of one run it reads the existing objects from snapshots. Where the
// process continues between runs, a syncer watches them: residentServices.hook.
func federationServices(connect connection) hookruntime.Hook {
	conflicts := &nameConflicts{}
	return hookruntime.Hook{
		Name: "federation_services",
		Config: sdk.HookConfig{
			// For the settings: switching federation off has no event of its own.
			OnAfterHelm: at(orderReleased),
			Queue:       federationServicesQueue,
			// For objects that could not be written.
			Schedule: []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{
				federationsBinding(),
				multiclusterKind().identitiesBinding(),
				usableNamespaceBinding(),
				federationObjectsBinding("service_entries", federation.ServiceEntryKind),
				federationObjectsBinding("destination_rules", federation.DestinationRuleKind),
			},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			return runFederationServices(ctx, in, connect, conflicts)
		},
	}
}

func federationObjectsBinding(binding, kind string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              binding,
		APIVersion:        federation.NetworkingAPIVersion,
		Kind:              kind,
		NamespaceSelector: inNamespace(names.Namespace),
		JqFilter: `{
			kind: .kind,
			name: .metadata.name,
			peer: (.metadata.annotations["` + federation.PeerAnnotation + `"] // ""),
			managed: (.metadata.labels["` + federation.ManagedByLabel + `"] == "` + federation.ManagedByValue + `"),
			deleting: (.metadata.deletionTimestamp != null),
			spec: (.spec // {})
		}`,
	}
}

func runFederationServices(ctx context.Context, in *sdk.HookInput, connect connection, conflicts *nameConflicts) error {
	usable, err := namespaceUsable(in)
	if err != nil || !usable {
		return err
	}
	peers, err := federationPeers(in, newFederationReader(nil))
	if err != nil {
		return err
	}
	wanted := federation.Objects(peers)
	found, err := snapshot[federation.Object](in, "service_entries", "destination_rules")
	if err != nil {
		return err
	}
	unknown := federation.Unknown(peers)
	found = slices.DeleteFunc(found, func(object federation.Object) bool { return unknown[object.Peer] })
	changes, taken := federation.Diff(wanted, found)
	if err := conflicts.report(ctx, in, taken); err != nil {
		return err
	}
	return writeOnce(ctx, in, connect, changes)
}

// federationPeers lists the accepted peers whose offer is known; none while federation is off.
func federationPeers(in *sdk.HookInput, read peerReader) ([]federation.Peer, error) {
	if !federationKind().enabled(in) {
		return nil, nil
	}
	accepted, err := acceptedFederations(in, read, multiclusterKind().identities)
	if err != nil {
		return nil, err
	}
	var peers []federation.Peer
	for _, resource := range accepted {
		private := resource.Status.MetadataCache.Private
		if private == nil {
			continue
		}
		peers = append(peers, federation.Peer{
			Name: resource.Name, TrustDomain: resource.Spec.TrustDomain, Import: resource.Spec.Import,
			Gateways: private.IngressGateways, Services: private.PublicServices, Unknown: private.PublicServices == nil,
		})
	}
	return peers, nil
}

// usableNamespaceBinding has a snapshot for namespaceUsable.
func usableNamespaceBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:         "namespace",
		APIVersion:   "v1",
		Kind:         "Namespace",
		NameSelector: named(names.Namespace),
		JqFilter:     `{terminating: (.metadata.deletionTimestamp != null)}`,
	}
}

// namespaceUsable is false before Helm has created the module's namespace and while it is being deleted.
func namespaceUsable(in *sdk.HookInput) (bool, error) {
	namespace, exists, err := only[struct {
		Terminating bool `json:"terminating"`
	}](in, "namespace")
	return exists && !namespace.Terminating, err
}
