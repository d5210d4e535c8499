package hooks

import "github.com/deckhouse-mesh/istio/lib/hookruntime"

// multiclusterSwitch follows the setting multicluster.enabled.
func multiclusterSwitch() hookruntime.Hook {
	return multiclusterKind().switchHook("multicluster_switch")
}
