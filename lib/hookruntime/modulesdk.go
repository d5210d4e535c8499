package hookruntime

import (
	"context"
	"fmt"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"github.com/deckhouse/module-sdk/pkg/registry"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// RegisterWithModuleSDK registers hooks with module-sdk for a batch binary. The
// call has to come from a Go file below a folder hooks/, where module-sdk looks
// for the name of a hook.
//
// It panics when a hook is malformed: the program, not its user, is wrong.
func RegisterWithModuleSDK(hooks []Hook) {
	if err := validateAll(hooks); err != nil {
		panic(fmt.Sprintf("register hooks: %v", err))
	}
	for _, hook := range hooks {
		registry.RegisterFunc(hook.Config, pkg.HookFunc[*pkg.HookInput](moduleSDKFunc(hook)))
		// As in addon-operator, the name comes from the caller's file and would
		// be the same for all hooks; the last registered one is this one.
		registered := registry.Registry().ModuleHooks()
		registered[len(registered)-1].Config.Metadata.Name = hook.Name
	}
}

func moduleSDKFunc(hook Hook) func(context.Context, *pkg.HookInput) error {
	return func(ctx context.Context, in *pkg.HookInput) error {
		adapted := *in
		if in.PatchCollector != nil {
			adapted.PatchCollector = moduleSDKPatches{in.PatchCollector}
		}
		if in.MetricsCollector != nil {
			adapted.MetricsCollector = moduleSDKMetrics{in.MetricsCollector}
		}
		return hook.Run(ctx, &adapted)
	}
}

// moduleSDKPatches is module-sdk's collector, except that it takes objects as
// map[string]any, too, as its interface promises: module-sdk v0.12 logs an error
// and drops them.
type moduleSDKPatches struct{ pkg.PatchCollector }

// Create creates object; it is an error if it exists.
func (p moduleSDKPatches) Create(object any) { p.PatchCollector.Create(asObject(object)) }

// CreateIfNotExists creates object unless it exists.
func (p moduleSDKPatches) CreateIfNotExists(object any) {
	p.PatchCollector.CreateIfNotExists(asObject(object))
}

// CreateOrUpdate creates object or replaces the one that exists.
func (p moduleSDKPatches) CreateOrUpdate(object any) {
	p.PatchCollector.CreateOrUpdate(asObject(object))
}

func asObject(object any) any {
	if content, ok := object.(map[string]any); ok {
		return &unstructured.Unstructured{Object: content}
	}
	return object
}

// moduleSDKMetrics is module-sdk's collector, except that the group of a metric
// counts: module-sdk v0.12 sets it on a copy of the metric and loses it.
type moduleSDKMetrics struct{ pkg.MetricsCollector }

// Inc increments a counter.
func (m moduleSDKMetrics) Inc(name string, labels map[string]string, options ...pkg.MetricCollectorOption) {
	m.MetricsCollector.Inc(name, labels, withWorkingGroups(options)...)
}

// Add adds to a counter.
func (m moduleSDKMetrics) Add(name string, value float64, labels map[string]string, options ...pkg.MetricCollectorOption) {
	m.MetricsCollector.Add(name, value, labels, withWorkingGroups(options)...)
}

// Set sets a gauge.
func (m moduleSDKMetrics) Set(name string, value float64, labels map[string]string, options ...pkg.MetricCollectorOption) {
	m.MetricsCollector.Set(name, value, labels, withWorkingGroups(options)...)
}

func withWorkingGroups(options []pkg.MetricCollectorOption) []pkg.MetricCollectorOption {
	out := make([]pkg.MetricCollectorOption, len(options))
	for i, option := range options {
		out[i] = operation.Option(func(applier pkg.MetricCollectorOptionApplier) {
			if metric, ok := applier.(*operation.Operation); ok {
				applier = groupSetter{metric}
			}
			option.Apply(applier)
		})
	}
	return out
}

// groupSetter sets the group of the metric itself.
type groupSetter struct{ metric *operation.Operation }

// WithGroup puts the metric into group.
func (s groupSetter) WithGroup(group string) { s.metric.Group = group }
