package hooks

import (
	"slices"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// peerKind is what IstioFederation and IstioMulticluster differ in for the hooks
// that poll peers and report the outcome in the resources' status.
type peerKind struct {
	kind string
	// plural and identities name snapshots of resources, and of what identifies their peers.
	plural, identities string
	// versions is the ConfigMap in which metadata-watcher reports that a peer has changed.
	versions string
	// enabledPath is the value that switches the kind on; what a resource says when it is off.
	enabledPath                     string
	disabledReason, disabledMessage string
	metrics                         peerMetrics
	// newReader returns a reader of the kind's resources that remembers what it decoded
	// and leaves long lists packed.
	newReader func() peerReader
}

// peerMetrics are set for each resource.
type peerMetrics struct {
	group, ready, age string
	// more are those that only this kind has.
	more func(resource v1alpha1.Peer, set func(metric string, value float64))
}

// peerReader reads a snapshot of resources of one kind.
type peerReader func(in *sdk.HookInput, binding string) ([]v1alpha1.Peer, error)

func newPeerReader[T any, P interface {
	*T
	v1alpha1.Peer
}](unpack func(*T)) peerReader {
	cache := snapshotCache[T]{unpack: unpack}
	return func(in *sdk.HookInput, binding string) ([]v1alpha1.Peer, error) {
		resources, err := cache.snapshot(in, binding)
		// What a finalizer retains is deleted: nothing of the peer is used any more.
		return slices.DeleteFunc(v1alpha1.Peers[T, P](resources), func(resource v1alpha1.Peer) bool {
			return resource.GetDeletionTimestamp() != nil
		}), err
	}
}

// newFederationReader returns a reader that unpacks the lists of services.
func newFederationReader(codec *servicelist.Codec) peerReader {
	return newPeerReader(func(resource *v1alpha1.IstioFederation) { codec.Unpack(&resource.Status.MetadataCache) })
}

func (k peerKind) enabled(in *sdk.HookInput) bool { return in.Values.Get(k.enabledPath).Bool() }

// claims are the identities that the resources of a binding hold; none while the kind is off.
func (k peerKind) claims(in *sdk.HookInput, this discovery.Self, binding string) ([]discovery.Claim, error) {
	if !k.enabled(in) {
		return nil, nil
	}
	resources, err := k.newReader()(in, binding)
	if err != nil {
		return nil, err
	}
	return discovery.Claims(this, resources), nil
}

// setMetrics of one resource, in a group that has been expired.
func (k peerKind) setMetrics(in *sdk.HookInput, resource v1alpha1.Peer, now time.Time) {
	set := func(metric string, value float64) {
		in.MetricsCollector.Set(metric, value, map[string]string{"name": resource.GetName()}, operation.WithGroup(k.metrics.group))
	}
	set(k.metrics.ready, gauge(meta.IsStatusConditionTrue(resource.PeerStatus().Conditions, v1alpha1.ConditionReady)))
	if last := resource.PeerCache().PrivateLastFetchTimestamp; last != nil {
		set(k.metrics.age, now.Sub(last.Time).Seconds())
	}
	setDataplaneMetric(in, resource, k.metrics.group)
	k.metrics.more(resource, set)
}
