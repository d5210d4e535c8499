package hooks

import (
	"cmp"
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/dataplane"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/injection"
)

const (
	dataPlaneMetricsGroup  = "istio_data_plane"
	dataPlaneMetric        = "d8_istio_dataplane_metadata"
	dataPlaneProblemMetric = "d8_istio_dataplane_problem_pods"
)

// dataPlaneRevisions reports which sidecar every Pod has, and which it would
// get now: as metrics, every minute, because Pods are created and deleted all the time.
func dataPlaneRevisions() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "data_plane_revisions",
		Config: sdk.HookConfig{
			Queue:      "/modules/istio/data-plane",
			Schedule:   []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{withoutEvents(namespacesBinding()), podsBinding()},
		},
		Run: runDataPlaneRevisions,
	}
}

func runDataPlaneRevisions(_ context.Context, in *sdk.HookInput) error {
	namespaces, err := snapshot[injection.Namespace](in, "namespaces")
	if err != nil {
		return err
	}
	pods, err := snapshot[dataplane.Pod](in, "pods")
	if err != nil {
		return err
	}
	installed, err := installedForPods(in)
	if err != nil {
		return err
	}

	in.MetricsCollector.Expire(dataPlaneMetricsGroup)
	inGroup := operation.WithGroup(dataPlaneMetricsGroup)
	problems := map[string]map[dataplane.Problem]int{}
	for _, state := range dataplane.States(namespaces, pods, installed) {
		in.MetricsCollector.Set(dataPlaneMetric, 1, map[string]string{
			"namespace": state.Namespace, "dataplane_pod": state.Pod,
			"desired_revision": state.DesiredRevision, "revision": state.Revision,
			"full_version": state.FullVersion, "desired_full_version": state.DesiredFullVersion,
		}, inGroup)
		if problems[state.Namespace] == nil {
			problems[state.Namespace] = map[dataplane.Problem]int{}
		}
		problems[state.Namespace][state.Problem]++
	}
	for namespace, counts := range problems {
		for _, problem := range dataplane.Problems() {
			in.MetricsCollector.Set(dataPlaneProblemMetric, float64(counts[problem]),
				map[string]string{"namespace": namespace, "problem": string(problem)}, inGroup)
		}
	}
	return nil
}

// installedForPods is what Pods can get. Before any istiod is ready, the default
// revision is the one that the settings want.
func installedForPods(in *sdk.HookInput) (dataplane.Installed, error) {
	var versions []installedVersion
	if err := settings(in, versionsPath, &versions); err != nil {
		return dataplane.Installed{}, err
	}
	installed := dataplane.Installed{
		FullVersions:    make(map[string]string, len(versions)),
		DefaultRevision: cmp.Or(in.Values.Get(defaultRevisionPath).String(), in.Values.Get(globalRevisionPath).String()),
	}
	for _, version := range versions {
		installed.FullVersions[version.Revision] = version.FullVersion
	}
	return installed, nil
}
