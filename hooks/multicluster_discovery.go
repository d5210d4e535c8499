package hooks

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	multiclusterPeerReadyMetric   = "d8_istio_multicluster_peer_ready"
	multiclusterMetadataAgeMetric = "d8_istio_multicluster_metadata_age_seconds"
	multiclusterAPIMetric         = "d8_istio_multicluster_api_reachable"
)

// multiclusterDiscovery is the only hook that polls multicluster peers. It also asks
// each one's API server, as istiod does, whether it answers.
func multiclusterDiscovery(client peerClient) hookruntime.Hook {
	return newPeerDiscovery(multiclusterKind(), federationKind(), client).hook("multicluster_discovery", "/modules/istio/multicluster-discovery")
}

func multiclusterKind() peerKind {
	return peerKind{
		kind:            v1alpha1.IstioMulticlusterKind,
		plural:          "multiclusters",
		identities:      "multicluster_identities",
		versions:        v1alpha1.MulticlusterVersions,
		enabledPath:     multiclusterEnabledPath,
		disabledReason:  discovery.ReasonMulticlusterDisabled,
		disabledMessage: "Multicluster is switched off: set multicluster.enabled to true in the settings of ModuleConfig " + names.Module() + ".",
		newReader:       func() peerReader { return newPeerReader[v1alpha1.IstioMulticluster](nil) },
		metrics: peerMetrics{
			group: "istio_multicluster_discovery", ready: multiclusterPeerReadyMetric, age: multiclusterMetadataAgeMetric, more: apiMetrics,
		},
	}
}

func apiMetrics(resource v1alpha1.Peer, set func(metric string, value float64)) {
	if resource.PeerCache().PrivateLastFetchTimestamp != nil {
		set(multiclusterAPIMetric, gauge(meta.IsStatusConditionTrue(resource.PeerStatus().Conditions, v1alpha1.ConditionAPI)))
	}
}
