package hooks

import (
	"context"
	"strconv"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// federationSwitch follows the setting federation.enabled.
func federationSwitch() hookruntime.Hook { return joinSwitch("federation_switch", federationKind(nil)) }

// multiclusterSwitch follows the setting multicluster.enabled.
func multiclusterSwitch() hookruntime.Hook {
	return joinSwitch("multicluster_switch", multiclusterKind())
}

// joinSwitch follows the setting that enables a kind, which has no event of its
// own: switched off, it says so in every resource; switched on, it wakes the
// hook that asks the peers in a queue of its own.
func joinSwitch[R, S any](name string, kind joinKind[R, S]) hookruntime.Hook {
	resources := kind.statuses()
	resources.Name = kind.plural
	return hookruntime.Hook{
		Name: name,
		Config: sdk.HookConfig{
			OnAfterHelm: &sdk.OrderedConfig{Order: 20},
			Kubernetes:  []sdk.KubernetesConfig{resources, kind.spoiltBinding()},
		},
		Run: func(_ context.Context, in *sdk.HookInput) error { return kind.follow(in) },
	}
}

func (k joinKind[R, S]) follow(in *sdk.HookInput) error {
	resources, err := snapshot[R](in, k.plural)
	if err != nil {
		return err
	}
	if !in.Values.Get(k.enabledPath).Bool() {
		return k.sayDisabled(in, resources, in.DC.GetClock().Now())
	}
	pokes := map[string]string{}
	for _, resource := range resources {
		shows := k.show(&resource)
		ready := meta.FindStatusCondition(*shows.conditions, v1alpha1.ConditionReady)
		if ready == nil || isVisited(*shows.conditions) {
			continue
		}
		// The value differs from switch to switch, and not from run to run.
		pokes[shows.meta.Name] = "switched-on." + strconv.FormatInt(ready.LastTransitionTime.Unix(), 36)
	}
	if len(pokes) == 0 {
		return nil
	}
	spoilt, err := snapshot[string](in, "spoilt")
	if err != nil {
		return err
	}
	if len(spoilt) > 0 && spoilt[0] != "" {
		// A refused patch would fail the module's run, option IgnoreHookError or not: that is
		// about patches of a status. drift_repair has the ConfigMap made anew, by a release, and this hook runs again.
		in.Logger.Warn("cannot wake the discovery: the ConfigMap that would do it cannot be written, it is being made anew",
			"configMap", k.revisions, "reason", spoilt[0])
		return nil
	}
	in.PatchCollector.PatchWithMerge(map[string]any{"data": pokes},
		"v1", "ConfigMap", v1alpha1.Namespace, k.revisions, objectpatch.WithIgnoreMissingObject(true))
	return nil
}

// sayDisabled tells in every resource that nothing acts on it.
func (k joinKind[R, S]) sayDisabled(in *sdk.HookInput, resources []R, now time.Time) error {
	for _, resource := range resources {
		status := k.switched(resource, k.disabledReason, k.disabledMessage, now)
		if _, err := k.writeStatus(in, resource, false, status); err != nil {
			return err
		}
	}
	return nil
}
