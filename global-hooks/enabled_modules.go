package globalhooks

import (
	"context"
	"slices"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/flant/addon-operator/pkg/utils"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// provided maps a module of Deckhouse to a CRD that tells it is there. Templates
// use its API only when global.enabledModules has the module. Outside of
// Deckhouse somebody else installs these; an empty folder in modules/ stands in
// for each, and this hook switches it on and off.
var provided = map[string]string{
	"cert-manager":            "certificates.cert-manager.io",
	"vertical-pod-autoscaler": "verticalpodautoscalers.autoscaling.k8s.io",
}

// enabledModules enables the stand-ins whose CRDs the cluster has.
func enabledModules() hookruntime.Hook {
	// What addon-operator was told, starting with modules/values.yaml: all off.
	// There is no value to compare with, and it takes even the first "off" for a
	// change and runs all modules again. Runs of one hook follow each other.
	told := map[string]bool{}
	return hookruntime.Hook{
		Name: "enabled_modules",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{{
				Name:         "crds",
				APIVersion:   "apiextensions.k8s.io/v1",
				Kind:         "CustomResourceDefinition",
				NameSelector: &pkg.NameSelector{MatchNames: providedCRDs()},
				JqFilter:     `.metadata.name`,
			}},
		},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			var crds []string
			for _, snapshot := range in.Snapshots.Get("crds") {
				var name string
				if err := snapshot.UnmarshalTo(&name); err != nil {
					return err
				}
				crds = append(crds, name)
			}
			for module, enabled := range enabledByCRDs(crds) {
				if told[module] == enabled {
					continue
				}
				// Not a value: addon-operator takes a key like this, and nothing
				// else beside it, as the wish to enable a module.
				in.Values.Set(utils.ModuleNameToValuesKey(module)+utils.EnabledSuffix, enabled)
				told[module] = enabled
			}
			return nil
		},
	}
}

// enabledByCRDs returns for each provided module whether its CRD is among crds.
func enabledByCRDs(crds []string) map[string]bool {
	out := map[string]bool{}
	for module, crd := range provided {
		out[module] = slices.Contains(crds, crd)
	}
	return out
}

func providedCRDs() []string {
	crds := []string{}
	for _, crd := range provided {
		crds = append(crds, crd)
	}
	slices.Sort(crds)
	return crds
}
