// Package hooks is what the module does: one file per hook, each a value that
// runs in addon-operator and in the binary of hooks/batch alike.
package hooks

import (
	"context"
	"time"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// All returns every hook of the module for processes that do one run each.
func All() []hookruntime.Hook { return with(nil, nil) }

// Resident returns every hook of the module for a process that lives on between
// their runs. What they do between runs ends with lifetime; wait returns when it has.
func Resident(lifetime context.Context) (hooks []hookruntime.Hook, wait func()) {
	codec := new(servicelist.Codec)
	services := servicesUntil(lifetime, codec)
	return append(with(services, codec), federationServicesResume(services), federationServicesEnd(services)), services.wait
}

// with the services and the memory of a process that lives on, nil for one that does not.
func with(services *residentServices, codec *servicelist.Codec) []hookruntime.Hook {
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
		federationDiscovery(peer.NewClient(), codec),
		federationSwitch(),
		federationPublication(),
		multiclusterDiscovery(peer.NewClient()),
		multiclusterSwitch(),
		clusterLocalServices(),
		allianceMetadata(),
		multiclusterRemoteSecrets(),
		federationServices(services, codec),
		webhookWithdrawal(),
		orphanRemoval(time.Second, 30*time.Second),
		moduleDisabled(),
	}
}
