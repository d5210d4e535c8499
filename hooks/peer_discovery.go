package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/nudge"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// peerDiscovery polls the peers of one kind, judges their answers, and writes the
// outcome into the resources' status; nothing else does. It runs when
// metadata-watcher reports a change (a value in the kind's ConfigMap), when a spec
// or an annotation changes, and every minute. Its queue is its own: no peer can
// delay any other hook.
type peerDiscovery struct {
	peerKind
	other    peerKind
	client   peerClient
	codec    *servicelist.Codec
	schedule pollSchedule
	events   transitionLimits
	// resources and statuses read the binding that wakes the hook and the one that does not.
	resources, statuses peerReader
}

func newPeerDiscovery(kind, other peerKind, client peerClient) *peerDiscovery {
	return &peerDiscovery{
		peerKind: kind, other: other, client: client, schedule: pollSchedule{}, events: transitionLimits{},
		resources: kind.newReader(), statuses: kind.newReader(),
	}
}

func (d *peerDiscovery) hook(name, queue string) hookruntime.Hook {
	return hookruntime.Hook{
		Name: name,
		Config: sdk.HookConfig{
			Queue:    queue,
			Schedule: []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{
				d.binding(d.plural, `{
					metadata: {
						name: .metadata.name, uid: .metadata.uid,
						generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp,
						annotations: {
							"`+v1alpha1.RefreshAnnotation+`": (.metadata.annotations["`+v1alpha1.RefreshAnnotation+`"] // ""),
							"`+v1alpha1.AcceptIdentityAnnotation+`": (.metadata.annotations["`+v1alpha1.AcceptIdentityAnnotation+`"] // "")
						}
					},
					spec: .spec,
					known: (.status.metadataCache.public != null)
				}`),
				// Separate, so that this hook's own writes do not wake it.
				d.statusesBinding("statuses"),
				d.versionsBinding(),
				d.other.identitiesBinding(),
				secretBinding("keypair", names.OperatorNamespace, authnSecret),
				apiServerAddressesBinding(),
				dataplaneChangesBinding(),
				dataplaneReportsBinding(),
			},
		},
		Run: d.run,
	}
}

func (d *peerDiscovery) run(ctx context.Context, in *sdk.HookInput) error {
	if err := presentClientCertificate(in, d.client); err != nil {
		return err
	}
	resources, err := d.withStatus(in)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now()
	in.MetricsCollector.Expire(d.metrics.group)
	if !d.enabled(in) {
		return d.reportDisabled(ctx, in, d.codec, resources, now)
	}
	updated, err := d.poll(ctx, in, resources, now)
	if err != nil {
		return err
	}
	if err := d.judgeDataplane(in, updated, now); err != nil {
		return err
	}
	writer, err := newStatusWriter(in, d.codec)
	if err != nil {
		return err
	}
	writer.events = d.events
	var lost []error
	for _, resource := range resources {
		after, wrote, err := writer.write(ctx, resource, updated[resource.GetName()], d.schedule.isCurrent(resource))
		if err != nil && isTransient(err) {
			d.schedule.noteLost(resource)
			lost = append(lost, fmt.Errorf("write the status of %s %q: %w", resource.PeerKind(), resource.GetName(), err))
			continue
		}
		if err != nil {
			writer.reportUnwritten(ctx, resource, err)
			d.schedule.noteFailure(resource, now)
			d.setMetrics(in, discovery.Unwritten(after, err, now), now)
			continue
		}
		d.schedule.noteStatus(after, wrote)
		d.setMetrics(in, after, now)
	}
	retainOnly(d.schedule, resources)
	retainOnly(d.events, resources)
	return errors.Join(lost...)
}

// poll polls the peers that are due and returns all resources with their new status, by name.
func (d *peerDiscovery) poll(ctx context.Context, in *sdk.HookInput, resources []v1alpha1.Peer, now time.Time) (map[string]v1alpha1.Peer, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	if this.Network, err = ownNetwork(in); err != nil {
		return nil, err
	}
	keypair, err := secret(in, "keypair")
	if err != nil {
		return nil, err
	}
	elsewhere, err := d.other.claims(in, this, d.other.identitiesBinding().Name)
	if err != nil {
		return nil, err
	}
	versions, _, err := only[map[string]string](in, "versions")
	if err != nil {
		return nil, err
	}
	discoverer := discovery.Discoverer{Client: d.client, Self: this, PrivateKey: string(keypair["priv.pem"]), Now: now, Codec: d.codec, Elsewhere: elsewhere}
	discoverer.Answers = func(resource v1alpha1.Peer) bool {
		at, nudged := nudge.Time(versions[resource.GetName()])
		return nudged && now.Sub(at).Abs() < answersFor
	}
	due := func(resource v1alpha1.Peer) bool {
		return d.schedule.due(resource, versions[resource.GetName()], len(keypair) > 0, now)
	}
	noteWait := func(resource v1alpha1.Peer, waited time.Duration) { d.schedule.noteWait(resource, waited, now) }
	return discoverer.Poll(ctx, d.withoutStaleETags(resources), due, noteWait), nil
}

// withoutStaleETags has those resources polled unconditionally, and their whole status written, whose
// snapshot does not have the last write: it is older, or the write has failed.
func (d *peerDiscovery) withoutStaleETags(resources []v1alpha1.Peer) []v1alpha1.Peer {
	polled := slices.Clone(resources)
	for index, resource := range resources {
		if d.schedule.isStale(resource) {
			polled[index] = resource.ShallowCopy()
			cache := polled[index].PeerCache()
			cache.PublicETag, cache.PrivateETag = "", ""
		}
	}
	return polled
}

// withStatus completes the resources with the snapshot of their statuses.
func (d *peerDiscovery) withStatus(in *sdk.HookInput) ([]v1alpha1.Peer, error) {
	resources, err := d.resources(in, d.plural)
	if err != nil {
		return nil, err
	}
	found, err := d.statuses(in, "statuses")
	if err != nil {
		return nil, err
	}
	byUID := make(map[types.UID]v1alpha1.Peer, len(found))
	for _, status := range found {
		byUID[status.GetUID()] = status
	}
	for _, resource := range resources {
		if last, known := byUID[resource.GetUID()]; known {
			resource.CopyStatusOf(last)
			resource.SetResourceVersion(last.GetResourceVersion())
		}
	}
	return resources, nil
}
