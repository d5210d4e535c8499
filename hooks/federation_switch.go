package hooks

import "github.com/deckhouse-mesh/istio/lib/hookruntime"

// federationSwitch follows the setting federation.enabled.
func federationSwitch() hookruntime.Hook { return federationKind().switchHook("federation_switch") }
