package hooks

import (
	"context"
	"fmt"
	"maps"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/federation/syncer"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// maxNamedUnwritten is how many objects that cannot be written a run names in the log.
const maxNamedUnwritten = 20

// connection makes the client to write with.
type connection func(sdk.DependencyContainer) (dynamic.Interface, error)

// writeOnce writes the changes in a process of a single run. It does not use the
// PatchCollector, in which one object that is rejected fails the run for all, and whose
// operations the runtime carries out one after the other. What is rejected is logged and counted,
// and tried again in the next run: at the next event, and every minute. Where the API
// server has no time, the runtime tries the whole run again.
func writeOnce(ctx context.Context, in *sdk.HookInput, connect connection, changes []federation.Change) error {
	in.MetricsCollector.Expire(servicesMetricsGroup)
	var unwritten map[federation.Key]error
	if len(changes) > 0 {
		client, err := connect(in.DC)
		if err != nil {
			return err
		}
		unwritten = syncer.Once(ctx, client, changes)
		counts := map[federation.Step]int{}
		for _, change := range changes {
			counts[change.Step]++
		}
		in.Logger.Info("federated services changed", "created", counts[federation.Create], "updated", counts[federation.Update],
			"deleted", counts[federation.Delete], "notWritten", len(unwritten))
	}
	in.MetricsCollector.Set(unwrittenMetric, float64(len(unwritten)), map[string]string{}, operation.WithGroup(servicesMetricsGroup))
	return reportUnwrittenServices(in, unwritten)
}

// reportUnwrittenServices logs them, and returns an error where trying again at once may help.
func reportUnwrittenServices(in *sdk.HookInput, unwritten map[federation.Key]error) error {
	var transient error
	named := 0
	for _, key := range slices.SortedFunc(maps.Keys(unwritten), federation.Key.Compare) {
		err := unwritten[key]
		if isTransient(err) {
			transient = err
			continue
		}
		if named++; named <= maxNamedUnwritten {
			in.Logger.Error("could not write an object for a peer's service, will try again; others are not affected", "kind", key.Kind,
				"namespace", names.Namespace, "name", key.Name, "error", err.Error())
		}
	}
	if transient != nil {
		return fmt.Errorf("write objects for peers' services (%d of them are not written): %w", len(unwritten), transient)
	}
	return nil
}
