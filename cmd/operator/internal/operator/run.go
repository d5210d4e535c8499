package operator

import (
	"sync"

	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	addonpkg "github.com/flant/addon-operator/pkg"
	addonoperator "github.com/flant/addon-operator/pkg/addon-operator"
	"github.com/flant/addon-operator/pkg/addon-operator/converge"
	addonmetrics "github.com/flant/addon-operator/pkg/metrics"
	"github.com/flant/addon-operator/pkg/module_manager/models/modules"

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

// latestRun is how the module fares; the zero value while that is unknown.
// addon-operator takes a module out of the phase Ready when it runs it again.
func latestRun(operator *addonoperator.AddonOperator, failed *failures, name string) moduleconfig.Run {
	if operator == nil {
		return moduleconfig.Run{}
	}
	module := operator.ModuleManager.GetModule(name)
	if module == nil {
		return moduleconfig.Run{}
	}
	return moduleconfig.Run{
		Settled:  module.GetPhase() == modules.Ready && operator.ConvergeState.GetPhase() == converge.StandBy,
		Err:      module.GetModuleError(),
		Failures: failed.of(name),
	}
}

// turnedOff is why the module's own program has it off, as Deckhouse shows it in the status of the Module.
func turnedOff(operator *addonoperator.AddonOperator, name string) string {
	if operator == nil || operator.ModuleManager.IsModuleEnabled(name) {
		return ""
	}
	module := operator.ModuleManager.GetModule(name)
	if module == nil {
		return ""
	}
	if answer := module.GetEnabledScriptResult(); answer == nil || *answer {
		return ""
	}
	if reason := module.GetEnabledScriptReason(); reason != nil {
		return *reason
	}
	return ""
}
