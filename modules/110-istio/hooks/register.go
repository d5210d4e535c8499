// Package hooks binds the module's hooks to addon-operator, whose SDK derives
// the module they belong to from the path of the file that registers them.
package hooks

import (
	"context"

	"github.com/deckhouse/module-sdk/pkg"

	modulehooks "github.com/deckhouse-mesh/istio/hooks"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// Register registers every hook of the module with the addon-operator linked
// into this program. Call it once, before the operator starts. What hooks do
// between their runs ends with lifetime; wait returns when it has.
func Register(lifetime context.Context, dc pkg.DependencyContainer) (wait func()) {
	hooks, wait := modulehooks.Resident(lifetime)
	hookruntime.RegisterWithAddonOperator("110-istio", hooks, dc)
	return wait
}
