package hooks

import (
	"context"
	"strconv"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// federationSwitch follows the setting federation.enabled, which has no event
// of its own: switched off, it says so in every resource; switched on, it wakes
// federation_discovery, which asks the peers in its own queue.
func federationSwitch() hookruntime.Hook {
	names := federationStatusesBinding()
	names.Name = "federations"
	names.JqFilter = `{metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation}, status: (.status // {})}`
	return hookruntime.Hook{
		Name: "federation_switch",
		Config: sdk.HookConfig{
			OnAfterHelm: &sdk.OrderedConfig{Order: 20},
			Kubernetes:  []sdk.KubernetesConfig{names},
		},
		Run: runFederationSwitch,
	}
}

func runFederationSwitch(_ context.Context, in *sdk.HookInput) error {
	federations, err := snapshot[v1alpha1.IstioFederation](in, "federations")
	if err != nil {
		return err
	}
	if !in.Values.Get(federationEnabledPath).Bool() {
		return sayFederationDisabled(in, federations, in.DC.GetClock().Now())
	}
	for _, resource := range federations {
		ready := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || isVisited(resource.Status.Conditions) {
			continue
		}
		// The value differs from switch to switch, and not from run to run.
		poke := "switched-on." + strconv.FormatInt(ready.LastTransitionTime.Unix(), 36)
		in.PatchCollector.PatchWithMerge(
			map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.PokeAnnotation: poke}}},
			v1alpha1.APIVersion, v1alpha1.IstioFederationKind, "", resource.Name, objectpatch.WithIgnoreMissingObject(true))
	}
	return nil
}

// sayFederationDisabled tells in every resource that nothing acts on it.
func sayFederationDisabled(in *sdk.HookInput, federations []v1alpha1.IstioFederation, now time.Time) error {
	for _, resource := range federations {
		status := discovery.Switched(resource, discovery.ReasonDisabled,
			"Federation is switched off: set federation.enabled to true in the settings of ModuleConfig istio.", now)
		if err := writeFederationStatus(in, resource, status); err != nil {
			return err
		}
	}
	return nil
}
