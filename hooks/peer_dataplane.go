package hooks

import (
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// dataplaneConnectionMetric is named as in newer releases of Deckhouse's own module.
	dataplaneConnectionMetric = "d8_istio_alliance_dataplane_health_check"
)

var healthcheckEnabledPath = names.ValuesPath("alliance.healthcheck.enabled")

// dataplaneChangesBinding wakes the hook when alliance-healthcheck has found something
// else. That it still finds the same, which it reports every minute, is not in the snapshot.
func dataplaneChangesBinding() sdk.KubernetesConfig {
	return configMapBinding("dataplane_changes", healthcheck.ReportsConfigMap,
		`(.data // {}) | map_values(try (fromjson | .results) catch null)`)
}

// dataplaneReportsBinding has a snapshot of what alliance-healthcheck reports, with the times.
func dataplaneReportsBinding() sdk.KubernetesConfig {
	return withoutEvents(configMapBinding("dataplane_reports", healthcheck.ReportsConfigMap, `.data // {}`))
}

// judgeDataplane sets the condition DataplaneConnectionReady of the resources, by
// name. One hook writes a resource's status: two would undo each other's conditions.
func (d *peerDiscovery) judgeDataplane(in *sdk.HookInput, resources map[string]v1alpha1.Peer, now time.Time) error {
	this, err := self(in)
	if err != nil {
		return err
	}
	written, _, err := only[map[string]string](in, "dataplane_reports")
	if err != nil {
		return err
	}
	var versions []installedVersion
	if err := settings(in, versionsPath, &versions); err != nil {
		return err
	}
	dataplane := discovery.Dataplane{Enabled: in.Values.Get(healthcheckEnabledPath).Bool() && len(versions) > 0, Reports: healthcheck.Decode(written), Self: this, Now: now}
	for name, resource := range resources {
		if !d.schedule.retries(resource, now) {
			resources[name] = dataplane.Apply(resource)
		}
	}
	return nil
}

// setDataplaneMetric says whether the peer answers through the mesh; nothing while that is unknown.
func setDataplaneMetric(in *sdk.HookInput, resource v1alpha1.Peer, group string) {
	condition := meta.FindStatusCondition(resource.PeerStatus().Conditions, v1alpha1.ConditionDataplane)
	public := resource.PeerCache().Public
	if condition == nil || condition.Status == metav1.ConditionUnknown || public == nil {
		return
	}
	in.MetricsCollector.Set(dataplaneConnectionMetric, gauge(condition.Status == metav1.ConditionTrue), map[string]string{
		"alliance_kind": resource.PeerKind(), "name": resource.GetName(), "peer_cluster_uuid": public.ClusterUUID,
	}, operation.WithGroup(group))
}
