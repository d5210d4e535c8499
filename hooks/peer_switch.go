package hooks

import (
	"context"
	"fmt"
	"strconv"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// switchHook follows the setting that enables a kind, which has no event of its
// own: switched off, it says so in every resource; switched on, it wakes the
// hook that polls the peers, which has a queue of its own.
func (k peerKind) switchHook(name string) hookruntime.Hook {
	return hookruntime.Hook{
		Name: name,
		Config: sdk.HookConfig{
			OnAfterHelm: at(orderSwitches),
			Kubernetes:  []sdk.KubernetesConfig{k.statusesBinding(k.plural), k.unwritableBinding()},
		},
		Run: k.followSetting,
	}
}

func (k peerKind) followSetting(ctx context.Context, in *sdk.HookInput) error {
	resources, err := k.newReader()(in, k.plural)
	if err != nil {
		return err
	}
	if !k.enabled(in) {
		return k.reportDisabled(ctx, in, nil, resources, in.DC.GetClock().Now())
	}
	versions := map[string]string{}
	for _, resource := range resources {
		conditions := resource.PeerStatus().Conditions
		if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil && !wasPolled(conditions) {
			// The value differs from switch to switch, and not from run to run.
			versions[resource.GetName()] = "switched-on." + strconv.FormatInt(ready.LastTransitionTime.Unix(), 36)
		}
	}
	if len(versions) == 0 {
		return nil
	}
	return k.wakeDiscovery(in, versions)
}

// wakeDiscovery writes as metadata-watcher does when peers have changed.
func (k peerKind) wakeDiscovery(in *sdk.HookInput, versions map[string]string) error {
	unwritable, _, err := only[string](in, "unwritable")
	if err != nil {
		return err
	}
	if unwritable != "" {
		// A rejected patch would fail the module's run, option IgnoreHookError or not: that is
		// about patches of a status. drift_repair has the ConfigMap created again, by a release, and this hook runs again.
		in.Logger.Warn("cannot wake the discovery hook: the ConfigMap that does it cannot be written; it is being created again",
			"configMap", k.versions, "reason", unwritable)
		return nil
	}
	in.PatchCollector.PatchWithMerge(map[string]any{"data": versions},
		"v1", "ConfigMap", names.Namespace, k.versions, objectpatch.WithIgnoreMissingObject(true))
	return nil
}

// reportDisabled says in every resource that nothing acts on it.
func (k peerKind) reportDisabled(ctx context.Context, in *sdk.HookInput, codec *servicelist.Codec, resources []v1alpha1.Peer, now time.Time) error {
	writer, err := newStatusWriter(in, codec)
	if err != nil {
		return err
	}
	for _, resource := range resources {
		_, _, err := writer.write(ctx, resource, discovery.Disabled(resource, k.disabledReason, k.disabledMessage, now), false)
		switch {
		case err != nil && isTransient(err):
			return fmt.Errorf("write the status of %s %q: %w", resource.PeerKind(), resource.GetName(), err)
		case err != nil:
			writer.reportUnwritten(ctx, resource, err)
		}
	}
	return nil
}
