package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const renderedPath = "istio.internal.rendered"

// driftBaseline notes what Helm has applied: only that can be missed. What is
// still to be installed, and what is deleted with the module, is not.
func driftBaseline() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "drift_baseline",
		Config: sdk.HookConfig{OnAfterHelm: &sdk.OrderedConfig{Order: 10}},
		Run: func(_ context.Context, in *sdk.HookInput) error {
			wanted, err := wantedObjects(in)
			if err != nil {
				return err
			}
			noteRendered(in, wanted)
			return nil
		},
	}
}

// noteRendered remembers keys as drift.Release.Objects lists them.
func noteRendered(in *sdk.HookInput, keys []string) {
	// Never nil: values tell a list from nothing.
	in.Values.Set(renderedPath, append([]string{}, keys...))
}
