package operator

import (
	"testing"

	"github.com/deckhouse/deckhouse/pkg/log"
	addonmetrics "github.com/flant/addon-operator/pkg/metrics"
)

func TestFailedRunsAreCountedForEachModule(t *testing.T) {
	addonmetrics.InitMetrics("prefix_")
	failed := countFailures(newMetrics(log.NewNop()).operator)
	for _, module := range []string{"istio", "other", "istio"} {
		failed.CounterAdd(addonmetrics.ModuleRunErrorsTotal, 1, map[string]string{"module": module})
	}
	failed.CounterAdd("prefix_other_total", 1, map[string]string{"module": "istio"})
	if failed.of("istio") != 2 || failed.of("other") != 1 || failed.of("none") != 0 {
		t.Errorf("counted %v", failed.counts)
	}
}

func TestAModuleIsUnknownBeforeAddonOperatorRuns(t *testing.T) {
	if run := (&running{}).latestRun("istio"); run.Settled || run.Err != nil || run.Failures != 0 {
		t.Errorf("it is %+v", run)
	}
}
