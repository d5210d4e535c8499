package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var renderedPath = names.ValuesPath("internal.rendered")

// driftBaseline records what Helm has applied: only these objects can be missing.
// Objects that are still to be installed, or are deleted with the module, are not.
func driftBaseline() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "drift_baseline",
		Config: sdk.HookConfig{OnAfterHelm: at(orderReleased)},
		Run: func(_ context.Context, in *sdk.HookInput) error {
			wanted, err := wantedObjects(in)
			if err != nil {
				return err
			}
			recordRendered(in, wanted)
			return nil
		},
	}
}

// recordRendered stores keys as drift.Release.Objects lists them.
func recordRendered(in *sdk.HookInput, keys []string) {
	// Never nil: an empty list is something else than none.
	in.Values.Set(renderedPath, append([]string{}, keys...))
}
