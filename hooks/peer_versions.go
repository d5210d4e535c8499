package hooks

import sdk "github.com/deckhouse/module-sdk/pkg"

// versionsBinding subscribes to the document versions that metadata-watcher reports of the kind's peers,
// by the name of the resource. There is no ConfigMap when the module has just been switched on.
func (k peerKind) versionsBinding() sdk.KubernetesConfig {
	return configMapBinding("versions", k.versions, `.data // {}`)
}
