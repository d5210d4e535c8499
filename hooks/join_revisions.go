package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// revisionsBinding subscribes to what metadata-exporter tells of the kind's peers.
func (k joinKind[R, S]) revisionsBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              "revisions",
		APIVersion:        "v1",
		Kind:              "ConfigMap",
		NamespaceSelector: inNamespace(v1alpha1.Namespace),
		NameSelector:      named(k.revisions),
		JqFilter:          `.data // {}`,
	}
}

// readRevisions returns what metadata-exporter told last, by the name of the
// resource; nil while there is no ConfigMap, as when the module has just been switched on.
func readRevisions(in *sdk.HookInput) (map[string]string, error) {
	found, err := snapshot[map[string]string](in, "revisions")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
