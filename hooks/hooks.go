// Package hooks is what the module does: one file per hook, each a value that
// runs in addon-operator and in the binary of hooks/batch alike.
package hooks

import (
	"time"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// All returns every hook of the module.
func All() []hookruntime.Hook {
	return []hookruntime.Hook{
		ensureCRDs(moduleDir()),
		certificateAuthority(),
		clientCertificate(),
		remoteAuthnKeypair(),
		customCertificate(),
		metadataExporterCertificate(),
		apiProxyCertificate(),
		ingressClientCertificate(),
		istioVersions(),
		istiodHealth(),
		applicationNamespaces(),
		driftBaseline(),
		driftRepair(),
		dataPlaneRevisions(),
		ingressControllers(),
		ingressGatewayAddresses(),
		federationDiscovery(peer.NewClient()),
		federationSwitch(),
		multiclusterDiscovery(peer.NewClient()),
		multiclusterSwitch(),
		clusterLocalServices(),
		allianceMetadata(),
		multiclusterRemoteSecrets(),
		federationServices(untilTheEnd()),
		webhookWithdrawal(),
		orphanRemoval(time.Second, 30*time.Second),
		moduleDisabled(),
	}
}
