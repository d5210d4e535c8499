// Command batch is the binary that Deckhouse runs: the module's hooks,
// registered with module-sdk. Deckhouse asks it for the hooks' configuration,
// starts it anew for each run of a hook, and has it check settings before they
// take effect.
package main

import (
	"context"
	"encoding/json"
	"errors"
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
	return judge(settings.Check(wanted, nil, time.Now()))
}

// judge refuses settings for any problem but one: Deckhouse does not tell which
// settings were accepted before, so a CA that has expired since must not stand in
// the way of every other change.
func judge(problems []error) settingscheck.Result {
	var refused []error
	var warnings []string
	for _, problem := range problems {
		if errors.As(problem, new(settings.Expired)) {
			warnings = append(warnings, problem.Error())
		} else {
			refused = append(refused, problem)
		}
	}
	if len(refused) > 0 {
		return settingscheck.Reject(errors.Join(refused...).Error())
	}
	return settingscheck.Allow(warnings...)
}
