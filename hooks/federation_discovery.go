package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
// minute whatever happens.
func federationDiscovery(client discovery.Getter) hookruntime.Hook {
	visited := &visits{}
	return hookruntime.Hook{
		Name: "federation_discovery",
		Config: sdk.HookConfig{
			// For the settings: switching federation on or off has no event of its own.
			OnAfterHelm: &sdk.OrderedConfig{Order: 20},
			Queue:       "/modules/istio/federation-discovery",
			Schedule:    []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:       "federations",
					APIVersion: v1alpha1.APIVersion,
					Kind:       v1alpha1.IstioFederationKind,
					JqFilter: `{
						metadata: {
							name: .metadata.name, uid: .metadata.uid,
							generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp,
							annotations: {"` + v1alpha1.PokeAnnotation + `": (.metadata.annotations["` + v1alpha1.PokeAnnotation + `"] // "")}
						},
						spec: .spec
					}`,
				},
				{
					// Apart, so that this hook's own writes do not wake it.
					Name:                         "statuses",
					APIVersion:                   v1alpha1.APIVersion,
					Kind:                         v1alpha1.IstioFederationKind,
					ExecuteHookOnEvents:          &no,
					ExecuteHookOnSynchronization: &no,
					JqFilter:                     `{uid: .metadata.uid, status: (.status // {})}`,
				},
				secretBinding("keypair", operatorNamespace, authnSecret),
			},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			return runFederationDiscovery(ctx, in, client, visited)
		},
	}
}

func runFederationDiscovery(ctx context.Context, in *sdk.HookInput, client discovery.Getter, visited *visits) error {
	federations, err := federationsWithStatus(in)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now()
	statuses := map[string]v1alpha1.IstioFederationStatus{}
	if in.Values.Get(federationEnabledPath).Bool() {
		if statuses, err = askPeers(ctx, in, client, federations, visited, now); err != nil {
			return err
		}
	} else {
		for _, resource := range federations {
			statuses[resource.Name] = discovery.Switched(resource, discovery.ReasonDisabled,
				"Federation is switched off: set federation.enabled to true in the settings of ModuleConfig istio.", now)
		}
	}

	in.MetricsCollector.Expire(discoveryMetricsGroup)
	for _, resource := range federations {
		status := statuses[resource.Name]
		patch, changed, err := statusPatch(resource.Status, status)
		if err != nil {
			return fmt.Errorf("status of IstioFederation %q: %w", resource.Name, err)
		}
		if changed {
			in.PatchCollector.PatchWithMerge(patch, v1alpha1.APIVersion, v1alpha1.IstioFederationKind, "", resource.Name,
				objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
			logTransition(in, resource, status)
		}
		reportPeer(in, resource.Name, status, now)
	}
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
	discoverer := discovery.Discoverer{Client: client, Self: this, PrivateKey: string(keypair["priv.pem"]), Now: now}
	return discoverer.Federations(ctx, federations, func(resource v1alpha1.IstioFederation) bool {
		return visited.due(resource, len(keypair) > 0, now)
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

// statusPatch is the RFC 7396 merge patch from one status to another; equal ones need none.
func statusPatch(from, to v1alpha1.IstioFederationStatus) (patch map[string]any, changed bool, err error) {
	encodedFrom, err := json.Marshal(from)
	if err != nil {
		return nil, false, err
	}
	encodedTo, err := json.Marshal(to)
	if err != nil {
		return nil, false, err
	}
	difference, err := jsonpatch.CreateMergePatch(encodedFrom, encodedTo)
	if err != nil || string(difference) == "{}" {
		return nil, false, err
	}
	var status map[string]any
	if err := json.Unmarshal(difference, &status); err != nil {
		return nil, false, err
	}
	return map[string]any{"status": status}, true, nil
}

func logTransition(in *sdk.HookInput, resource v1alpha1.IstioFederation, status v1alpha1.IstioFederationStatus) {
	before := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionReady)
	after := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if after == nil || (before != nil && before.Status == after.Status && before.Reason == after.Reason) {
		return
	}
	in.Logger.Info("federation changed", "name", resource.Name, "ready", string(after.Status), "reason", after.Reason, "message", after.Message)
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

// visits remembers what was asked last, so that one peer's news does not mean
// asking all of them. It is an economy only: a process that knows nothing asks everybody.
type visits struct {
	mu   sync.Mutex
	last map[string]visitKey
}

type visitKey struct {
	poke       string
	generation int64
	minute     time.Time
	keyed      bool
}

// due is true when the resource was poked, edited, or not asked in this minute yet.
func (v *visits) due(resource v1alpha1.IstioFederation, keyed bool, now time.Time) bool {
	key := visitKey{
		poke:       resource.Annotations[v1alpha1.PokeAnnotation],
		generation: resource.Generation,
		minute:     now.Truncate(time.Minute),
		keyed:      keyed,
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = map[string]visitKey{}
	}
	known := v.last[string(resource.UID)] == key
	v.last[string(resource.UID)] = key
	return !known || !isVisited(resource.Status.Conditions)
}

// isVisited is false while the summary does not come from asking the peer.
func isVisited(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason != discovery.ReasonDisabled && ready.Reason != discovery.ReasonModuleDisabled
}
