package hooks

import sdk "github.com/deckhouse/module-sdk/pkg"

// versionsBinding subscribes to the document versions that metadata-watcher reports of the kind's peers.
func (k peerKind) versionsBinding() sdk.KubernetesConfig {
	return configMapBinding("versions", k.versions, `.data // {}`)
}

// reportedVersions are the versions that metadata-watcher reported last, by the name of the
// resource; nil while there is no ConfigMap, as when the module has just been switched on.
func reportedVersions(in *sdk.HookInput) (map[string]string, error) {
	found, err := snapshot[map[string]string](in, "versions")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
