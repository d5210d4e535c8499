// Command batch is the binary that Deckhouse runs: the module's hooks,
// registered with module-sdk. Deckhouse asks it for the hooks' configuration
// and starts it anew for each run of a hook.
package main

import (
	"github.com/deckhouse/module-sdk/pkg/app"

	"github.com/deckhouse-mesh/istio/hooks"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

func main() {
	hookruntime.RegisterWithModuleSDK(hooks.All())
	app.Run()
}
