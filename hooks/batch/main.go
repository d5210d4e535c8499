// Command batch is the binary that Deckhouse runs: the module's hooks,
// registered with module-sdk. Deckhouse asks it for the hooks' configuration,
// starts it anew for each run of a hook, and has it check settings before they
// take effect.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/deckhouse/module-sdk/pkg/app"
	"github.com/deckhouse/module-sdk/pkg/settingscheck"

	"github.com/deckhouse-mesh/istio/hooks"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/settings"
)

func main() {
	hookruntime.RegisterWithModuleSDK(hooks.All())
	app.Run(app.WithSettingsCheck(checkSettings))
}

func checkSettings(_ context.Context, in settingscheck.Input) settingscheck.Result {
	var wanted map[string]any
	if err := json.Unmarshal([]byte(in.Settings.Get("@this").Raw), &wanted); err != nil {
		return settingscheck.Reject(fmt.Sprintf("read settings: %v", err))
	}
	if err := settings.Check(wanted, time.Now()); err != nil {
		return settingscheck.Reject(err.Error())
	}
	return settingscheck.Allow()
}
