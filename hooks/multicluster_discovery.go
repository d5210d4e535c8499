package hooks

import (
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	multiclusterMetricsGroup      = "istio_multicluster_discovery"
	multiclusterPeerReadyMetric   = "d8_istio_multicluster_peer_ready"
	multiclusterMetadataAgeMetric = "d8_istio_multicluster_metadata_age_seconds"
	multiclusterAPIMetric         = "d8_istio_multicluster_api_reachable"
)

// multiclusterDiscovery is the only hook that asks the clusters of the same
// mesh. It also asks each one's API server, as istiod does, whether it answers.
func multiclusterDiscovery(client peerClient) hookruntime.Hook {
	return joinDiscovery("multicluster_discovery", "/modules/istio/multicluster-discovery", multiclusterKind(), client)
}

func multiclusterKind() joinKind[v1alpha1.IstioMulticluster, v1alpha1.IstioMulticlusterStatus] {
	return joinKind[v1alpha1.IstioMulticluster, v1alpha1.IstioMulticlusterStatus]{
		kind:            v1alpha1.IstioMulticlusterKind,
		plural:          "multiclusters",
		revisions:       v1alpha1.MulticlusterRevisions,
		enabledPath:     multiclusterEnabledPath,
		disabledReason:  discovery.ReasonMulticlusterDisabled,
		disabledMessage: "Multicluster is switched off: set multicluster.enabled to true in the settings of ModuleConfig istio.",
		metricsGroup:    multiclusterMetricsGroup,
		show: func(resource *v1alpha1.IstioMulticluster) shown[v1alpha1.IstioMulticlusterStatus] {
			status := &resource.Status
			return shown[v1alpha1.IstioMulticlusterStatus]{
				meta: &resource.ObjectMeta, status: status, conditions: &status.Conditions,
				publicETag: &status.MetadataCache.PublicETag, privateETag: &status.MetadataCache.PrivateETag,
				publicContact: &status.MetadataCache.PublicLastFetchTimestamp, privateContact: &status.MetadataCache.PrivateLastFetchTimestamp,
			}
		},
		switched:  discovery.SwitchedMulticluster,
		ask:       discovery.Discoverer.Multiclusters,
		otherKind: federationIdentitiesBinding(),
		claims:    federationClaims,
		report:    reportMulticluster,
	}
}

func reportMulticluster(in *sdk.HookInput, name string, status v1alpha1.IstioMulticlusterStatus, now time.Time) {
	labels := map[string]string{"name": name}
	set := func(metric string, value float64) {
		in.MetricsCollector.Set(metric, value, labels, operation.WithGroup(multiclusterMetricsGroup))
	}
	truth := func(condition string) float64 {
		if meta.IsStatusConditionTrue(status.Conditions, condition) {
			return 1
		}
		return 0
	}
	set(multiclusterPeerReadyMetric, truth(v1alpha1.ConditionReady))
	if last := status.MetadataCache.PrivateLastFetchTimestamp; last != nil {
		set(multiclusterMetadataAgeMetric, now.Sub(last.Time).Seconds())
		set(multiclusterAPIMetric, truth(v1alpha1.ConditionAPI))
	}
}
