package operator

import (
	addonoperator "github.com/flant/addon-operator/pkg/addon-operator"
	"github.com/flant/addon-operator/pkg/addon-operator/converge"
	"github.com/flant/addon-operator/pkg/module_manager/models/modules"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/moduleconfig"
)

// latestRun is how the module fares; the zero value while that is unknown.
// addon-operator takes a module out of the phase Ready when it runs it anew.
func latestRun(operator *addonoperator.AddonOperator, name string) moduleconfig.Run {
	if operator == nil {
		return moduleconfig.Run{}
	}
	module := operator.ModuleManager.GetModule(name)
	if module == nil {
		return moduleconfig.Run{}
	}
	return moduleconfig.Run{
		Settled: module.GetPhase() == modules.Ready && operator.ConvergeState.GetPhase() == converge.StandBy,
		Err:     module.GetModuleError(),
	}
}
