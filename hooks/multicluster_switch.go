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

// multiclusterSwitch follows the setting multicluster.enabled as federation_switch does federation.enabled.
func multiclusterSwitch() hookruntime.Hook {
	names := multiclusterStatusesBinding()
	names.Name = "multiclusters"
	names.JqFilter = `{metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation}, status: (.status // {})}`
	return hookruntime.Hook{
		Name: "multicluster_switch",
		Config: sdk.HookConfig{
			OnAfterHelm: &sdk.OrderedConfig{Order: 20},
			Kubernetes:  []sdk.KubernetesConfig{names},
		},
		Run: runMulticlusterSwitch,
	}
}

func runMulticlusterSwitch(_ context.Context, in *sdk.HookInput) error {
	multiclusters, err := snapshot[v1alpha1.IstioMulticluster](in, "multiclusters")
	if err != nil {
		return err
	}
	if !in.Values.Get(multiclusterEnabledPath).Bool() {
		return sayMulticlusterDisabled(in, multiclusters, in.DC.GetClock().Now())
	}
	for _, resource := range multiclusters {
		ready := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || isVisited(resource.Status.Conditions) {
			continue
		}
		// The value differs from switch to switch, and not from run to run.
		poke := "switched-on." + strconv.FormatInt(ready.LastTransitionTime.Unix(), 36)
		in.PatchCollector.PatchWithMerge(
			map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.PokeAnnotation: poke}}},
			v1alpha1.APIVersion, v1alpha1.IstioMulticlusterKind, "", resource.Name, objectpatch.WithIgnoreMissingObject(true))
	}
	return nil
}

// sayMulticlusterDisabled tells in every resource that nothing acts on it.
func sayMulticlusterDisabled(in *sdk.HookInput, multiclusters []v1alpha1.IstioMulticluster, now time.Time) error {
	for _, resource := range multiclusters {
		status := discovery.SwitchedMulticluster(resource, discovery.ReasonMulticlusterDisabled,
			"Multicluster is switched off: set multicluster.enabled to true in the settings of ModuleConfig istio.", now)
		if err := writeMulticlusterStatus(in, resource, status); err != nil {
			return err
		}
	}
	return nil
}
