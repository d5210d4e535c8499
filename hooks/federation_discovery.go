package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

const (
	discoveryMetricsGroup  = "istio_federation_discovery"
	peerReadyMetric        = "d8_istio_federation_peer_ready"
	metadataAgeMetric      = "d8_istio_federation_metadata_age_seconds"
	importedServicesMetric = "d8_istio_federation_imported_services"
	rejectedServicesMetric = "d8_istio_federation_rejected_services"
)

// federationDiscovery is the only hook that asks federation peers.
func federationDiscovery(client peerClient, codec *servicelist.Codec) hookruntime.Hook {
	return joinDiscovery("federation_discovery", "/modules/istio/federation-discovery", federationKind(codec), client)
}

func federationKind(codec *servicelist.Codec) joinKind[v1alpha1.IstioFederation, v1alpha1.IstioFederationStatus] {
	return joinKind[v1alpha1.IstioFederation, v1alpha1.IstioFederationStatus]{
		kind:            v1alpha1.IstioFederationKind,
		plural:          "federations",
		revisions:       v1alpha1.FederationRevisions,
		enabledPath:     federationEnabledPath,
		disabledReason:  discovery.ReasonDisabled,
		disabledMessage: "Federation is switched off: set federation.enabled to true in the settings of ModuleConfig istio.",
		metricsGroup:    discoveryMetricsGroup,
		show: func(resource *v1alpha1.IstioFederation) shown[v1alpha1.IstioFederationStatus] {
			status, digest := &resource.Status, ""
			if status.MetadataCache.Private != nil {
				digest = status.MetadataCache.Private.Digest
			}
			return shown[v1alpha1.IstioFederationStatus]{
				meta: &resource.ObjectMeta, status: status, conditions: &status.Conditions,
				publicETag: &status.MetadataCache.PublicETag, privateETag: &status.MetadataCache.PrivateETag,
				publicContact: &status.MetadataCache.PublicLastFetchTimestamp, privateContact: &status.MetadataCache.PrivateLastFetchTimestamp,
				digest: digest,
			}
		},
		unpack:   unpackWith(codec),
		pack:     codec.PackStatus,
		switched: discovery.Switched,
		ask: func(d discovery.Discoverer, ctx context.Context, resources []v1alpha1.IstioFederation, due func(v1alpha1.IstioFederation) bool, took func(v1alpha1.IstioFederation, time.Duration)) map[string]v1alpha1.IstioFederationStatus {
			d.Codec = codec
			return d.Federations(ctx, resources, due, took)
		},
		otherKind: multiclusterIdentitiesBinding(),
		claims:    multiclusterClaims,
		report:    reportFederation,
	}
}

func reportFederation(in *sdk.HookInput, name string, status v1alpha1.IstioFederationStatus, now time.Time) {
	labels := map[string]string{"name": name}
	inGroup := operation.WithGroup(discoveryMetricsGroup)
	ready := 0.0
	if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		ready = 1
	}
	in.MetricsCollector.Set(peerReadyMetric, ready, labels, inGroup)
	if last := status.MetadataCache.PrivateLastFetchTimestamp; last != nil {
		in.MetricsCollector.Set(metadataAgeMetric, now.Sub(last.Time).Seconds(), labels, inGroup)
	}
	if status.ImportedServices != nil {
		in.MetricsCollector.Set(importedServicesMetric, float64(*status.ImportedServices), labels, inGroup)
	}
	in.MetricsCollector.Set(rejectedServicesMetric, float64(len(status.RejectedServices)), labels, inGroup)
}
