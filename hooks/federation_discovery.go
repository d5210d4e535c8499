package hooks

import (
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

const (
	peerReadyMetric        = "d8_istio_federation_peer_ready"
	metadataAgeMetric      = "d8_istio_federation_metadata_age_seconds"
	importedServicesMetric = "d8_istio_federation_imported_services"
	rejectedServicesMetric = "d8_istio_federation_rejected_services"
)

// federationDiscovery is the only hook that polls federation peers.
func federationDiscovery(client peerClient, codec *servicelist.Codec) hookruntime.Hook {
	discovery := newPeerDiscovery(federationKind(), multiclusterKind(), client)
	discovery.codec, discovery.statuses = codec, newFederationReader(codec)
	return discovery.hook("federation_discovery", "/modules/istio/federation-discovery")
}

func federationKind() peerKind {
	return peerKind{
		kind:            v1alpha1.IstioFederationKind,
		plural:          "federations",
		identities:      "federation_identities",
		versions:        v1alpha1.FederationVersions,
		enabledPath:     federationEnabledPath,
		disabledReason:  discovery.ReasonFederationDisabled,
		disabledMessage: "Federation is switched off: set federation.enabled to true in the settings of ModuleConfig " + names.Module() + ".",
		newReader:       func() peerReader { return newPeerReader[v1alpha1.IstioFederation](nil) },
		metrics: peerMetrics{
			group: "istio_federation_discovery", ready: peerReadyMetric, age: metadataAgeMetric, more: serviceMetrics,
		},
	}
}

func serviceMetrics(resource v1alpha1.Peer, set func(metric string, value float64)) {
	federation, ok := resource.(*v1alpha1.IstioFederation)
	if !ok {
		return
	}
	if imported := federation.Status.ImportedServices; imported != nil {
		set(importedServicesMetric, float64(*imported))
	}
	set(rejectedServicesMetric, float64(len(federation.Status.RejectedServices)))
}
