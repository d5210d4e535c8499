package hooks

import (
	"context"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// federationServices keeps a ServiceEntry and a DestinationRule for every
// imported service, and writes only what differs from what is there.
//
// In a process of one run it reads what is there from snapshots; where the
// process lives on, upkeep watches that: resident, nil where it does not.
func federationServices(resident *residentServices, codec *servicelist.Codec) hookruntime.Hook {
	told := &takenNames{told: map[string]bool{}}
	what := []sdk.KubernetesConfig{
		federationsBinding(),
		multiclusterIdentitiesBinding(),
		{
			Name:         "namespace",
			APIVersion:   "v1",
			Kind:         "Namespace",
			NameSelector: named(v1alpha1.Namespace),
			JqFilter:     `{terminating: (.metadata.deletionTimestamp != null)}`,
		},
	}
	const queue = "/modules/istio/federation-services"
	hook := hookruntime.Hook{
		Name: "federation_services",
		Config: sdk.HookConfig{
			// For the settings: switching federation off has no event of its own.
			OnAfterHelm: &sdk.OrderedConfig{Order: 10},
			Queue:       queue,
			Kubernetes: append(slices.Clone(what),
				federationObjectsBinding("service_entries", federation.ServiceEntryKind),
				federationObjectsBinding("destination_rules", federation.DestinationRuleKind)),
		},
		Run: func(_ context.Context, in *sdk.HookInput) error { return runFederationServices(in, told, codec) },
	}
	if resident == nil {
		return hook
	}
	// A run after Helm would be in another queue, and beside one in this. The
	// settings are heard of by what federation_switch has every resource say.
	switched := slices.Clone(what)
	switched[0] = switchedFederationsBinding()
	hook.Resident = &hookruntime.Resident{
		Config: sdk.HookConfig{
			Queue:      queue,
			Kubernetes: switched,
			// The floor, should an event be missed.
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
		},
		Run: resident.run,
	}
	return hook
}

// switchedFederationsBinding is federationsBinding that has an event, too, when
// federation is switched: off, federation_switch says so in every resource; on,
// it has them visited, whereupon their status says something else.
func switchedFederationsBinding() sdk.KubernetesConfig {
	binding := federationsBinding()
	binding.JqFilter += ` + {switchedOff: ([.status.conditions[]? | select(.type == "` + v1alpha1.ConditionReady +
		`" and .reason == "` + discovery.ReasonDisabled + `")] | length > 0)}`
	return binding
}

func federationObjectsBinding(binding, kind string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              binding,
		APIVersion:        federation.NetworkingAPIVersion,
		Kind:              kind,
		NamespaceSelector: inNamespace(v1alpha1.Namespace),
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

func runFederationServices(in *sdk.HookInput, told *takenNames, codec *servicelist.Codec) error {
	usable, err := namespaceUsable(in)
	if err != nil || !usable {
		return err
	}
	decoded := decodings[v1alpha1.IstioFederation]{unpack: unpackWith(codec)}
	peers, err := federationPeers(in, decoded.snapshot)
	if err != nil {
		return err
	}
	wanted := federation.Objects(peers)
	var found []federation.Object
	for _, binding := range []string{"service_entries", "destination_rules"} {
		objects, err := snapshot[federation.Object](in, binding)
		if err != nil {
			return err
		}
		found = append(found, objects...)
	}

	unknown := federation.Unknown(peers)
	found = slices.DeleteFunc(found, func(object federation.Object) bool { return unknown[object.Peer] })
	changes := federation.Diff(wanted, found)
	if err := told.say(in, changes.Taken); err != nil {
		return err
	}
	for _, object := range changes.Create {
		// The snapshot can be older than our last write: what exists by now is compared when its event arrives.
		in.PatchCollector.CreateIfNotExists(object.Unstructured())
	}
	for _, object := range changes.Update {
		patch, err := object.Patch("")
		if err != nil {
			return err
		}
		in.PatchCollector.PatchWithMerge(patch,
			federation.NetworkingAPIVersion, object.Wanted.Kind, v1alpha1.Namespace, object.Wanted.Name, objectpatch.WithIgnoreMissingObject(true))
	}
	for _, object := range changes.Delete {
		in.PatchCollector.DeleteInBackground(federation.NetworkingAPIVersion, object.Kind, v1alpha1.Namespace, object.Name)
	}
	if !changes.IsZero() {
		in.Logger.Info("federated services changed",
			"created", len(changes.Create), "updated", len(changes.Update), "deleted", len(changes.Delete))
	}
	return nil
}

// unpackWith completes an IstioFederation that was read.
func unpackWith(codec *servicelist.Codec) func(*v1alpha1.IstioFederation) {
	return func(resource *v1alpha1.IstioFederation) { codec.Unpack(&resource.Status.MetadataCache) }
}

// federationPeers lists the accepted neighbours of whom is known what they offer; nobody while federation is off.
func federationPeers(in *sdk.HookInput, read func(in *sdk.HookInput, binding string) ([]v1alpha1.IstioFederation, error)) ([]federation.Peer, error) {
	if !in.Values.Get(federationEnabledPath).Bool() {
		return nil, nil
	}
	resources, err := read(in, "federations")
	if err != nil {
		return nil, err
	}
	accepted, err := acceptedOf(in, resources, "multicluster_identities")
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

// namespaceUsable is false before Helm has created the module's namespace and while it is being deleted.
func namespaceUsable(in *sdk.HookInput) (bool, error) {
	namespaces, err := snapshot[struct {
		Terminating bool `json:"terminating"`
	}](in, "namespace")
	if err != nil {
		return false, err
	}
	return len(namespaces) > 0 && !namespaces[0].Terminating, nil
}
