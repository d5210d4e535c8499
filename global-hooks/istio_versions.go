package globalhooks

import (
	"context"

	"github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// istioVersions publishes which versions of Istio the module's images contain,
// where somebody built them from other patch releases than this release of the
// module would: what is known of a version's faults goes by what is run.
func istioVersions(versions []string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "istio_versions",
		Config: pkg.HookConfig{OnStartup: &pkg.OrderedConfig{Order: 2}},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			if len(versions) > 0 {
				set(in, "global.modulesImages.istioVersions", versions)
			}
			return nil
		},
	}
}
