// Package hooks is what the module does: one file per hook, each a value that
// runs in addon-operator and in the binary of hooks/batch alike.
package hooks

import (
	"context"
	"time"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// All returns every hook of the module for processes that do one run each.
func All() []hookruntime.Hook { return with(nil) }

// Resident returns every hook of the module for a process that lives on between
// their runs. What they do between runs ends with lifetime; wait returns when it has.
func Resident(lifetime context.Context) (hooks []hookruntime.Hook, wait func()) {
	services := servicesUntil(lifetime)
	return append(with(services), federationServicesResume(services), federationServicesEnd(services)), services.wait
}

// with the services of a process that lives on, nil for one that does not.
func with(services *residentServices) []hookruntime.Hook {
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
		registrySecrets(),
		driftBaseline(),
		driftRepair(),
		dataPlaneRevisions(),
		ingressControllers(),
		ingressGatewayAddresses(),
		federationDiscovery(peer.NewClient()),
		federationSwitch(),
		federationPublication(),
		multiclusterDiscovery(peer.NewClient()),
		multiclusterSwitch(),
		clusterLocalServices(),
		allianceMetadata(),
		multiclusterRemoteSecrets(),
		federationServices(services),
		webhookWithdrawal(),
		orphanRemoval(time.Second, 30*time.Second),
		moduleDisabled(),
	}
}
