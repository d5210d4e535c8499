package hooks

import (
	"context"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	modulesettings "github.com/deckhouse-mesh/istio/lib/settings"
)

const (
	enabledModulesPath = "global.enabledModules"

	settingsEffectMetricsGroup = "settings_effect"
	settingWithoutEffectMetric = "d8_istio_setting_without_effect"
	settingWithoutEffectEvent  = "SettingWithoutEffect"
)

// settingsEffect reports settings that are accepted and change nothing. Outside
// Deckhouse the status of the ModuleConfig lists them, too.
func settingsEffect() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "settings_effect",
		Config: sdk.HookConfig{OnBeforeHelm: at(orderFacts)},
		Run:    runSettingsEffect,
	}
}

func runSettingsEffect(ctx context.Context, in *sdk.HookInput) error {
	var values map[string]any
	if err := settings(in, names.ValuesKey(), &values); err != nil {
		return err
	}
	var enabled []string
	if err := settings(in, enabledModulesPath, &enabled); err != nil {
		return err
	}
	inGroup := operation.WithGroup(settingsEffectMetricsGroup)
	in.MetricsCollector.Expire(settingsEffectMetricsGroup)
	for _, found := range modulesettings.WithoutEffect(values, slices.Contains(enabled, "user-authn")) {
		in.MetricsCollector.Set(settingWithoutEffectMetric, 1, map[string]string{"setting": found.Setting}, inGroup)
		report(ctx, in, moduleConfigEvent(settingWithoutEffectEvent, found.String()))
	}
	return nil
}
