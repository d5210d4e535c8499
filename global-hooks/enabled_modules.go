package globalhooks

import (
	"context"
	"maps"
	"slices"

	"github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// providers maps a CRD to the module of Deckhouse that installs it. Templates use
// its API only when global.enabledModules has that module; outside of Deckhouse
// somebody else installed it, which is as good.
var providers = map[string]string{
	"certificates.cert-manager.io":              "cert-manager",
	"prometheusrules.monitoring.coreos.com":     "operator-prometheus-crd",
	"verticalpodautoscalers.autoscaling.k8s.io": "vertical-pod-autoscaler",
}

// enabledModules lists for templates what they can rely on. (addon-operator fills
// this value only when it is configured to load modules, as in Deckhouse.)
func enabledModules() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "enabled_modules",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{{
				Name:         "crds",
				APIVersion:   "apiextensions.k8s.io/v1",
				Kind:         "CustomResourceDefinition",
				NameSelector: &pkg.NameSelector{MatchNames: slices.Sorted(maps.Keys(providers))},
				JqFilter:     `.metadata.name`,
			}},
		},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			crds, err := snapshot[string](in, "crds")
			if err != nil {
				return err
			}
			set(in, "global.enabledModules", modulesBehind(crds))
			return nil
		},
	}
}

// modulesBehind returns the names of the modules that work in a cluster with
// these CRDs, sorted.
func modulesBehind(crds []string) []string {
	modules := []string{names.Module()}
	for _, crd := range crds {
		if module, known := providers[crd]; known {
			modules = append(modules, module)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}
