package hookruntime

import (
	"cmp"
	"context"
	"fmt"
	"path"

	"github.com/deckhouse/deckhouse/pkg/log"
	"github.com/deckhouse/module-sdk/pkg"
	gohook "github.com/flant/addon-operator/pkg/module_manager/go_hook"
	"github.com/flant/addon-operator/pkg/module_manager/models/hooks/kind"
	addonsdk "github.com/flant/addon-operator/sdk"
	"github.com/flant/shell-operator/pkg/kube_events_manager/types"
)

// RegisterWithAddonOperator registers hooks of a module with the addon-operator
// linked into this program. moduleDir is the module's folder below modules/
// ("110-istio"); addon-operator requires that the call comes from a Go file in
// its hooks/ folder. dc becomes the DC of every hook's input.
//
// It panics when a hook is malformed: the program, not its user, is wrong.
func RegisterWithAddonOperator(moduleDir string, hooks []Hook, dc pkg.DependencyContainer) {
	register(path.Join(moduleDir, "hooks"), "/modules", hooks, dc)
}

// RegisterGlobalWithAddonOperator registers global hooks: they run before all
// modules and write the global values. addon-operator requires that the call
// comes from a Go file in a folder global-hooks/. OnBeforeHelm means before the
// first module of every convergence.
//
// It panics when a hook is malformed, and so does addon-operator.
func RegisterGlobalWithAddonOperator(hooks []Hook, dc pkg.DependencyContainer) {
	register("", "/global-hooks", hooks, dc)
}

func register(dir, root string, hooks []Hook, dc pkg.DependencyContainer) {
	if err := validateAll(hooks); err != nil {
		panic(fmt.Sprintf("register hooks of %s: %v", path.Join(root, dir), err))
	}
	for _, hook := range hooks {
		name := path.Join(dir, hook.Name+".go")
		config, err := addonOperatorConfig(hook.Config)
		if err != nil {
			panic(fmt.Sprintf("register hook %s: %v", path.Join(root, name), err))
		}
		config.Logger = log.Default().Named("hook")
		registered := kind.NewGoHook(config, addonOperatorFunc(hook, dc))
		addonsdk.Registry().Add(registered)
		// The registry names a hook after the file of its caller, which is the
		// same for all of them; names must be unique.
		registered.AddMetadata(&gohook.HookMetadata{Name: name, Path: path.Join(root, name)})
	}
}

func addonOperatorFunc(hook Hook, dc pkg.DependencyContainer) kind.ReconcileFunc {
	return func(ctx context.Context, in *gohook.HookInput) error {
		return hook.Run(ctx, &pkg.HookInput{
			Snapshots:        snapshots{source: in.Snapshots},
			Values:           in.Values,
			ConfigValues:     in.ConfigValues,
			PatchCollector:   in.PatchCollector,
			MetricsCollector: in.MetricsCollector,
			DC:               dc,
			Logger:           in.Logger,
		})
	}
}

// addonOperatorConfig translates a hook's configuration; the two differ in
// spelling, not in meaning, except for the filters.
func addonOperatorConfig(in pkg.HookConfig) (*gohook.HookConfig, error) {
	out := &gohook.HookConfig{
		OnStartup:          order(in.OnStartup),
		OnBeforeHelm:       order(in.OnBeforeHelm),
		OnAfterHelm:        order(in.OnAfterHelm),
		OnBeforeDeleteHelm: order(in.OnBeforeDeleteHelm),
		OnAfterDeleteHelm:  order(in.OnAfterDeleteHelm),
		AllowFailure:       in.AllowFailure,
		Queue:              in.Queue,
	}
	if in.Settings != nil {
		out.Settings = &gohook.HookConfigSettings{
			ExecutionMinInterval: in.Settings.ExecutionMinInterval,
			ExecutionBurst:       in.Settings.ExecutionBurst,
		}
	}
	for _, schedule := range in.Schedule {
		out.Schedule = append(out.Schedule, gohook.ScheduleConfig{Name: schedule.Name, Crontab: schedule.Crontab})
	}
	for _, binding := range in.Kubernetes {
		translated, err := addonOperatorBinding(binding)
		if err != nil {
			return nil, fmt.Errorf("binding %q: %w", binding.Name, err)
		}
		out.Kubernetes = append(out.Kubernetes, translated)
	}
	return out, nil
}

func addonOperatorBinding(in pkg.KubernetesConfig) (gohook.KubernetesConfig, error) {
	filter, err := jqFilter(in.JqFilter)
	if err != nil {
		return gohook.KubernetesConfig{}, err
	}
	out := gohook.KubernetesConfig{
		Name:                         in.Name,
		ApiVersion:                   cmp.Or(in.APIVersion, "v1"),
		Kind:                         in.Kind,
		NameSelector:                 nameSelector(in.NameSelector),
		LabelSelector:                in.LabelSelector,
		ExecuteHookOnEvents:          in.ExecuteHookOnEvents,
		ExecuteHookOnSynchronization: in.ExecuteHookOnSynchronization,
		WaitForSynchronization:       in.WaitForSynchronization,
		FilterFunc:                   filter,
	}
	if in.NamespaceSelector != nil {
		out.NamespaceSelector = &types.NamespaceSelector{
			NameSelector:  nameSelector(in.NamespaceSelector.NameSelector),
			LabelSelector: in.NamespaceSelector.LabelSelector,
		}
	}
	if in.FieldSelector != nil {
		out.FieldSelector = &types.FieldSelector{}
		for _, requirement := range in.FieldSelector.MatchExpressions {
			out.FieldSelector.MatchExpressions = append(out.FieldSelector.MatchExpressions,
				types.FieldSelectorRequirement(requirement))
		}
	}
	return out, nil
}

func order(in *pkg.OrderedConfig) *gohook.OrderedConfig {
	if in == nil {
		return nil
	}
	return &gohook.OrderedConfig{Order: float64(in.Order)}
}

func nameSelector(in *pkg.NameSelector) *types.NameSelector {
	if in == nil {
		return nil
	}
	return &types.NameSelector{MatchNames: in.MatchNames}
}
