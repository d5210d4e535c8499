package hooks

import (
	"context"
	"slices"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	discoveryMetricsGroup  = "istio_federation_discovery"
	peerReadyMetric        = "d8_istio_federation_peer_ready"
	metadataAgeMetric      = "d8_istio_federation_metadata_age_seconds"
	importedServicesMetric = "d8_istio_federation_imported_services"
	rejectedServicesMetric = "d8_istio_federation_rejected_services"
)

// federationDiscovery is the only hook that asks federation peers and the only
// judge of their answers; it writes the outcome into status. It is woken by the
// watcher of metadata-exporter (an annotation), by changes of a spec, and every
// minute whatever happens. It alone runs in its queue: no peer can hold up
// anything else of the module.
func federationDiscovery(client peerClient) hookruntime.Hook {
	visited := &visits{known: map[string]visitKey{}}
	return hookruntime.Hook{
		Name: "federation_discovery",
		Config: sdk.HookConfig{
			Queue:    "/modules/istio/federation-discovery",
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:       "federations",
					APIVersion: v1alpha1.APIVersion,
					Kind:       v1alpha1.IstioFederationKind,
					JqFilter: `{
						metadata: {
							name: .metadata.name, uid: .metadata.uid,
							generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp,
							annotations: {
								"` + v1alpha1.PokeAnnotation + `": (.metadata.annotations["` + v1alpha1.PokeAnnotation + `"] // ""),
								"` + v1alpha1.AcceptIdentityAnnotation + `": (.metadata.annotations["` + v1alpha1.AcceptIdentityAnnotation + `"] // "")
							}
						},
						spec: .spec
					}`,
				},
				// Apart, so that this hook's own writes do not wake it.
				federationStatusesBinding(),
				multiclusterIdentitiesBinding(),
				secretBinding("keypair", operatorNamespace, authnSecret),
			},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			if err := presentClientCertificate(in, client); err != nil {
				return err
			}
			return runFederationDiscovery(ctx, in, client, visited)
		},
	}
}

// federationStatusesBinding keeps a snapshot of statuses without waking the hook.
func federationStatusesBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "statuses",
		APIVersion:                   v1alpha1.APIVersion,
		Kind:                         v1alpha1.IstioFederationKind,
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter:                     `{uid: .metadata.uid, status: (.status // {})}`,
	}
}

func runFederationDiscovery(ctx context.Context, in *sdk.HookInput, client discovery.Getter, visited *visits) error {
	federations, err := federationsWithStatus(in)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now()
	in.MetricsCollector.Expire(discoveryMetricsGroup)
	if !in.Values.Get(federationEnabledPath).Bool() {
		return sayFederationDisabled(in, federations, now)
	}

	statuses, err := askPeers(ctx, in, client, federations, visited, now)
	if err != nil {
		return err
	}
	seen := make([]sighting, 0, len(federations))
	for _, resource := range federations {
		status := statuses[resource.Name]
		if err := writeFederationStatus(in, resource, status); err != nil {
			return err
		}
		resource.Status = status
		seen = append(seen, sightFederation(resource))
		visited.wrote(seen[len(seen)-1])
		reportPeer(in, resource.Name, status, now)
	}
	visited.forgetOthers(seen)
	return nil
}

func askPeers(ctx context.Context, in *sdk.HookInput, client discovery.Getter, federations []v1alpha1.IstioFederation, visited *visits, now time.Time) (map[string]v1alpha1.IstioFederationStatus, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	keypair, err := secret(in, "keypair")
	if err != nil {
		return nil, err
	}
	asked := slices.Clone(federations)
	for index := range asked {
		if visited.stale(sightFederation(asked[index])) {
			// The snapshot does not have our last write yet, or it failed: ask without conditions and write all of it.
			asked[index].Status.MetadataCache.PublicETag, asked[index].Status.MetadataCache.PrivateETag = "", ""
		}
	}
	elsewhere, err := multiclusterClaims(in, this, "multicluster_identities")
	if err != nil {
		return nil, err
	}
	discoverer := discovery.Discoverer{Client: client, Self: this, PrivateKey: string(keypair["priv.pem"]), Now: now, Elsewhere: elsewhere}
	return discoverer.Federations(ctx, asked, func(resource v1alpha1.IstioFederation) bool {
		return visited.due(sightFederation(resource), len(keypair) > 0, now)
	}, func(resource v1alpha1.IstioFederation, waited time.Duration) {
		visited.took(sightFederation(resource), waited)
	}), nil
}

// federationsWithStatus joins the two bindings.
func federationsWithStatus(in *sdk.HookInput) ([]v1alpha1.IstioFederation, error) {
	federations, err := snapshot[v1alpha1.IstioFederation](in, "federations")
	if err != nil {
		return nil, err
	}
	statuses, err := snapshot[struct {
		UID    string                         `json:"uid"`
		Status v1alpha1.IstioFederationStatus `json:"status"`
	}](in, "statuses")
	if err != nil {
		return nil, err
	}
	byUID := make(map[string]v1alpha1.IstioFederationStatus, len(statuses))
	for _, found := range statuses {
		byUID[found.UID] = found.Status
	}
	for index := range federations {
		federations[index].Status = byUID[string(federations[index].UID)]
	}
	return federations, nil
}

// writeFederationStatus makes resource's status what it should be; equal is silent.
func writeFederationStatus(in *sdk.HookInput, resource v1alpha1.IstioFederation, status v1alpha1.IstioFederationStatus) error {
	if equality.Semantic.DeepEqual(resource.Status, status) {
		return nil
	}
	of := statusOf{kind: v1alpha1.IstioFederationKind, name: resource.Name, uid: resource.UID}
	if onlyContactChanged(resource.Status, status) {
		of.writeContact(in, status.MetadataCache.PublicLastFetchTimestamp, status.MetadataCache.PrivateLastFetchTimestamp)
		return nil
	}
	if err := of.replace(in, status); err != nil {
		return err
	}
	of.sayTransition(in, resource.Status.Conditions, status.Conditions)
	return nil
}

func onlyContactChanged(from, to v1alpha1.IstioFederationStatus) bool {
	from.MetadataCache.PublicLastFetchTimestamp = to.MetadataCache.PublicLastFetchTimestamp
	from.MetadataCache.PrivateLastFetchTimestamp = to.MetadataCache.PrivateLastFetchTimestamp
	return equality.Semantic.DeepEqual(from, to)
}

func reportPeer(in *sdk.HookInput, name string, status v1alpha1.IstioFederationStatus, now time.Time) {
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
