// Command batch is the binary that Deckhouse runs: the module's hooks,
// registered with module-sdk. Deckhouse asks it for the hooks' configuration,
// starts it for each run of a hook, and has it check settings before they
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
	result := judge(settings.Check(wanted, nil, time.Now()))
	// Whether Dex authenticates people is unknown here; hook settings_effect knows.
	for _, found := range settings.WithoutEffect(wanted, true) {
		result.Warnings = append(result.Warnings, found.String())
	}
	for _, limit := range settings.NullLimits(wanted) {
		result.Warnings = append(result.Warnings, limit+": Deckhouse drops null, so the default stays: write 0 for no limit")
	}
	return result
}

// judge rejects settings for any problem that is not tolerated: Deckhouse does not say
// which settings were accepted before, so a CA or a version of Istio that was must not prevent every other
// change. Of new ones, the hooks ca and istio_versions reject both kinds: what is installed stays.
func judge(problems []error) settingscheck.Result {
	var rejected []error
	var warnings []string
	for _, problem := range problems {
		if errors.As(problem, new(settings.Tolerated)) {
			warnings = append(warnings, problem.Error())
		} else {
			rejected = append(rejected, problem)
		}
	}
	if len(rejected) > 0 {
		return settingscheck.Reject(errors.Join(rejected...).Error())
	}
	return settingscheck.Allow(warnings...)
}
