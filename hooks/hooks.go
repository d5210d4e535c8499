// Package hooks is what the module does, as hooks that run in addon-operator and
// in the binary of hooks/batch alike. Each hook is in a file of its name, its test
// beside it. Files with the prefix peer_ are what the hooks of both kinds of peers
// share; a file whose name continues that of a hook belongs to it.
package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/registrysecret"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// Orders of hooks at the same point of the module's life; the lowest runs first.
const (
	// When the module starts.
	orderEmbedded = 1 // nothing of the embedded istio is touched
	orderCRDs     = 2
	orderResume   = 10

	// Before Helm. Certificates of module-sdk have 5.
	orderFacts             = 10 // what depends on no other hook
	orderVersions          = 11
	orderIstiodHealth      = 12 // of the versions
	orderClientCertificate = 15 // signed by the CA
	orderPeers             = 20
	orderIngressGateway    = 25 // whether peers need it
	orderRemoteSecrets     = 30 // with the keypair and the client certificate

	// After Helm.
	orderReleased = 10
	orderSwitches = 20

	// Before and after the release is deleted.
	orderDeletion = 10
	orderOrphans  = 5
)

func at(order uint) *sdk.OrderedConfig { return &sdk.OrderedConfig{Order: order} }

// everyMinute is the schedule of hooks that must not depend on events alone.
var everyMinute = sdk.ScheduleConfig{Name: "every_minute", Crontab: "* * * * *"}

// All returns every hook of the module for processes that run one hook once.
func All() []hookruntime.Hook { return with(federationServices(unlimited), nil) }

// Resident returns every hook of the module for a process that continues between
// their runs. What they do between runs ends with lifetime; wait returns when it has.
func Resident(lifetime context.Context) (hooks []hookruntime.Hook, wait func()) {
	codec := new(servicelist.Codec)
	services := servicesUntil(lifetime, codec)
	return append(with(services.hook(), codec), federationServicesResume(services), federationServicesEnd(services)), services.wait
}

// with one form of federation_services, and the codec of a process that continues between runs, nil for one that does not.
func with(services hookruntime.Hook, codec *servicelist.Codec) []hookruntime.Hook {
	registrySecretsToRetry := new(registrysecret.Retry)
	hooks := []hookruntime.Hook{
		ensureCRDs(moduleDir()),
		certificateAuthority(),
		clientCertificate(),
		remoteAuthnKeypair(),
		copyCustomCertificate(),
		metadataExporterCertificate(),
		apiProxyCertificate(),
		ingressClientCertificate(),
		settingsEffect(),
		apiServerPorts(),
		istioVersions(),
		istiodHealth(),
		applicationNamespaces(),
		registrySecrets(registrySecretsToRetry),
		registrySecretsAfterHelm(registrySecretsToRetry),
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
		clusterLocalChanges(),
		allianceMetadata(),
		multiclusterRemoteSecrets(),
		services,
		webhookWithdrawal(),
		orphanRemoval(time.Second, 30*time.Second),
		moduleDisabled(),
	}
	if names.Module() != names.Embedded {
		hooks = append(hooks, embeddedIstio())
	}
	return hooks
}
