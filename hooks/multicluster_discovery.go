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
	multiclusterMetricsGroup      = "istio_multicluster_discovery"
	multiclusterPeerReadyMetric   = "d8_istio_multicluster_peer_ready"
	multiclusterMetadataAgeMetric = "d8_istio_multicluster_metadata_age_seconds"
	multiclusterAPIMetric         = "d8_istio_multicluster_api_reachable"
)

// multiclusterDiscovery is federation_discovery for the clusters of the same
// mesh: the only hook that asks them and the only judge of their answers. It
// also asks each peer's API server, as istiod does, whether it answers.
func multiclusterDiscovery(client peerClient) hookruntime.Hook {
	visited := &visits{known: map[string]visitKey{}}
	return hookruntime.Hook{
		Name: "multicluster_discovery",
		Config: sdk.HookConfig{
			Queue:    "/modules/istio/multicluster-discovery",
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:       "multiclusters",
					APIVersion: v1alpha1.APIVersion,
					Kind:       v1alpha1.IstioMulticlusterKind,
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
				multiclusterStatusesBinding(),
				federationIdentitiesBinding(),
				secretBinding("keypair", operatorNamespace, authnSecret),
			},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			if err := presentClientCertificate(in, client); err != nil {
				return err
			}
			return runMulticlusterDiscovery(ctx, in, client, visited)
		},
	}
}

// multiclusterStatusesBinding keeps a snapshot of statuses without waking the hook.
func multiclusterStatusesBinding() sdk.KubernetesConfig {
	binding := federationStatusesBinding()
	binding.Kind = v1alpha1.IstioMulticlusterKind
	return binding
}

func runMulticlusterDiscovery(ctx context.Context, in *sdk.HookInput, client discovery.Getter, visited *visits) error {
	multiclusters, err := multiclustersWithStatus(in)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now()
	in.MetricsCollector.Expire(multiclusterMetricsGroup)
	if !in.Values.Get(multiclusterEnabledPath).Bool() {
		return sayMulticlusterDisabled(in, multiclusters, now)
	}

	statuses, err := askMeshPeers(ctx, in, client, multiclusters, visited, now)
	if err != nil {
		return err
	}
	seen := make([]sighting, 0, len(multiclusters))
	for _, resource := range multiclusters {
		status := statuses[resource.Name]
		if err := writeMulticlusterStatus(in, resource, status); err != nil {
			return err
		}
		resource.Status = status
		seen = append(seen, sightMulticluster(resource))
		visited.wrote(seen[len(seen)-1])
		reportMeshPeer(in, resource.Name, status, now)
	}
	visited.forgetOthers(seen)
	return nil
}

func askMeshPeers(ctx context.Context, in *sdk.HookInput, client discovery.Getter, multiclusters []v1alpha1.IstioMulticluster, visited *visits, now time.Time) (map[string]v1alpha1.IstioMulticlusterStatus, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	keypair, err := secret(in, "keypair")
	if err != nil {
		return nil, err
	}
	elsewhere, err := federationClaims(in, this, "federation_identities")
	if err != nil {
		return nil, err
	}
	asked := slices.Clone(multiclusters)
	for index := range asked {
		if visited.stale(sightMulticluster(asked[index])) {
			// The snapshot does not have our last write yet, or it failed: ask without conditions and write all of it.
			asked[index].Status.MetadataCache.PublicETag, asked[index].Status.MetadataCache.PrivateETag = "", ""
		}
	}
	discoverer := discovery.Discoverer{Client: client, Self: this, PrivateKey: string(keypair["priv.pem"]), Now: now, Elsewhere: elsewhere}
	return discoverer.Multiclusters(ctx, asked, func(resource v1alpha1.IstioMulticluster) bool {
		return visited.due(sightMulticluster(resource), len(keypair) > 0, now)
	}, func(resource v1alpha1.IstioMulticluster, waited time.Duration) {
		visited.took(sightMulticluster(resource), waited)
	}), nil
}

// multiclustersWithStatus joins the two bindings.
func multiclustersWithStatus(in *sdk.HookInput) ([]v1alpha1.IstioMulticluster, error) {
	multiclusters, err := snapshot[v1alpha1.IstioMulticluster](in, "multiclusters")
	if err != nil {
		return nil, err
	}
	statuses, err := snapshot[struct {
		UID    string                           `json:"uid"`
		Status v1alpha1.IstioMulticlusterStatus `json:"status"`
	}](in, "statuses")
	if err != nil {
		return nil, err
	}
	byUID := make(map[string]v1alpha1.IstioMulticlusterStatus, len(statuses))
	for _, found := range statuses {
		byUID[found.UID] = found.Status
	}
	for index := range multiclusters {
		multiclusters[index].Status = byUID[string(multiclusters[index].UID)]
	}
	return multiclusters, nil
}

// writeMulticlusterStatus makes resource's status what it should be; equal is silent.
func writeMulticlusterStatus(in *sdk.HookInput, resource v1alpha1.IstioMulticluster, status v1alpha1.IstioMulticlusterStatus) error {
	if equality.Semantic.DeepEqual(resource.Status, status) {
		return nil
	}
	of := statusOf{kind: v1alpha1.IstioMulticlusterKind, name: resource.Name, uid: resource.UID}
	before := resource.Status
	before.MetadataCache.PublicLastFetchTimestamp = status.MetadataCache.PublicLastFetchTimestamp
	before.MetadataCache.PrivateLastFetchTimestamp = status.MetadataCache.PrivateLastFetchTimestamp
	if equality.Semantic.DeepEqual(before, status) {
		of.writeContact(in, status.MetadataCache.PublicLastFetchTimestamp, status.MetadataCache.PrivateLastFetchTimestamp)
		return nil
	}
	if err := of.replace(in, status); err != nil {
		return err
	}
	of.sayTransition(in, resource.Status.Conditions, status.Conditions)
	return nil
}

func reportMeshPeer(in *sdk.HookInput, name string, status v1alpha1.IstioMulticlusterStatus, now time.Time) {
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
