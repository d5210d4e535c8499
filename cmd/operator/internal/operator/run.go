package operator

import (
	"sync"
	"sync/atomic"

	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	addonpkg "github.com/flant/addon-operator/pkg"
	addonoperator "github.com/flant/addon-operator/pkg/addon-operator"
	"github.com/flant/addon-operator/pkg/addon-operator/converge"
	addonmetrics "github.com/flant/addon-operator/pkg/metrics"
	"github.com/flant/addon-operator/pkg/module_manager/models/modules"
	"github.com/flant/addon-operator/pkg/utils"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/moduleconfig"
)

// failures counts the failed runs of each module: it is addon-operator's store of metrics, where addon-operator counts them.
type failures struct {
	metricsstorage.Storage

	mu     sync.Mutex
	counts map[string]int
}

func countFailures(store metricsstorage.Storage) *failures {
	return &failures{Storage: store, counts: map[string]int{}}
}

// CounterAdd adds to a counter.
func (f *failures) CounterAdd(metric string, value float64, labels map[string]string) {
	if metric == addonmetrics.ModuleRunErrorsTotal {
		f.mu.Lock()
		f.counts[labels[addonpkg.MetricKeyModule]]++
		f.mu.Unlock()
	}
	f.Storage.CounterAdd(metric, value, labels)
}

func (f *failures) of(module string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[module]
}

// running is what the ModuleConfigs' backend learns of addon-operator, which has no module before it runs.
type running struct {
	operator atomic.Pointer[addonoperator.AddonOperator]
	failed   *failures
}

// module returns nil while addon-operator does not know it, and whether it is on.
func (r *running) module(name string) (module *modules.BasicModule, enabled bool) {
	operator := r.operator.Load()
	if operator == nil {
		return nil, false
	}
	return operator.ModuleManager.GetModule(name), operator.ModuleManager.IsModuleEnabled(name)
}

// inForce are the settings that the module runs with, and false while it does not run.
func (r *running) inForce(name string) (utils.Values, bool) {
	module, enabled := r.module(name)
	if module == nil || !enabled {
		return nil, false
	}
	return module.GetConfigValues(false), true
}

// latestRun is how the module fares; the zero value while that is unknown.
// addon-operator takes a module out of the phase Ready when it runs it again.
func (r *running) latestRun(name string) moduleconfig.Run {
	module, _ := r.module(name)
	if module == nil {
		return moduleconfig.Run{}
	}
	return moduleconfig.Run{
		Settled:  module.GetPhase() == modules.Ready && r.operator.Load().ConvergeState.GetPhase() == converge.StandBy,
		Err:      module.GetModuleError(),
		Failures: r.failed.of(name),
	}
}

// turnedOff is why the module's own program has it off, as Deckhouse shows it in the status of the Module.
func (r *running) turnedOff(name string) string {
	module, enabled := r.module(name)
	if module == nil || enabled {
		return ""
	}
	answer, reason := module.GetEnabledScriptResult(), module.GetEnabledScriptReason()
	if answer == nil || *answer || reason == nil {
		return ""
	}
	return *reason
}
