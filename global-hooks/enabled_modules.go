package globalhooks

import (
	"context"
	"slices"

	"github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// providers maps a CRD to the Deckhouse module that would install it. Templates
// ask whether that module is enabled before they use its API; here, somebody
// else may have installed it.
var providers = map[string]string{
	"certificates.cert-manager.io":              "cert-manager",
	"verticalpodautoscalers.autoscaling.k8s.io": "vertical-pod-autoscaler",
}

// enabledModules adds to global.enabledModules, which addon-operator fills with
// its own modules, those whose APIs the cluster has from elsewhere. addon-operator
// writes its list at the start of each convergence, so this runs after that, too.
func enabledModules() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "enabled_modules",
		Config: pkg.HookConfig{
			OnBeforeHelm: &pkg.OrderedConfig{Order: 20},
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
			var own []string
			for _, module := range in.Values.Get("global.enabledModules").Array() {
				own = append(own, module.String())
			}
			set(in, "global.enabledModules", withProvided(own, crds))
			return nil
		},
	}
}

// withProvided returns modules plus those that the CRDs present stand for, minus
// those whose CRDs are gone; sorted, without repetition.
func withProvided(modules, crds []string) []string {
	out := []string{}
	for _, module := range modules {
		if !slices.Contains(providedModules(), module) {
			out = append(out, module)
		}
	}
	for _, crd := range crds {
		if module, known := providers[crd]; known {
			out = append(out, module)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func providedCRDs() []string {
	names := []string{}
	for crd := range providers {
		names = append(names, crd)
	}
	slices.Sort(names)
	return names
}

func providedModules() []string {
	names := []string{}
	for _, module := range providers {
		names = append(names, module)
	}
	return names
}
