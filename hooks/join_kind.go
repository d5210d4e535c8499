package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

// joinKind is what IstioFederation and IstioMulticluster differ in for the hooks
// that ask peers and say in status what came of it. R is the resource, S its status.
type joinKind[R, S any] struct {
	kind string
	// plural names the snapshots.
	plural string
	// revisions is the ConfigMap in which metadata-exporter tells that a peer has changed.
	revisions string
	// enabledPath is the value that switches the kind on; what a resource says when it does not.
	enabledPath                     string
	disabledReason, disabledMessage string
	metricsGroup                    string

	// show reaches what the two kinds have alike.
	show func(*R) shown[S]
	// unpack completes the status of a resource that was read, pack is its opposite: both are nil where nothing is packed.
	unpack func(*R)
	pack   func(S) (S, error)
	// switched is the status of a resource that nothing acts on.
	switched func(resource R, reason, message string, now time.Time) S
	// ask visits the peers that are due, and returns the status of each resource by its name.
	ask func(d discovery.Discoverer, ctx context.Context, resources []R, due func(R) bool, took func(R, time.Duration)) map[string]S
	// otherKind keeps a snapshot of the other kind's identities, claims reads it.
	otherKind sdk.KubernetesConfig
	claims    func(in *sdk.HookInput, this discovery.Self, binding string) ([]discovery.Claim, error)
	// report sets the metrics of one resource.
	report func(in *sdk.HookInput, name string, status S, now time.Time)
}

// shown points into a resource of either kind.
type shown[S any] struct {
	meta                          *metav1.ObjectMeta
	status                        *S
	conditions                    *[]metav1.Condition
	publicETag, privateETag       *string
	publicContact, privateContact **metav1.Time
	// digest of what a peer offers, where that is long.
	digest string
}

// statuses keeps a snapshot of the kind's statuses without waking the hook.
func (k joinKind[R, S]) statuses() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "statuses",
		APIVersion:                   v1alpha1.APIVersion,
		Kind:                         k.kind,
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter:                     `{metadata: {name: .metadata.name, uid: .metadata.uid, generation: .metadata.generation, resourceVersion: .metadata.resourceVersion}, status: (.status // {})}`,
	}
}

// sight is what visits remembers a resource by.
func (k joinKind[R, S]) sight(resource R) sighting {
	shows := k.show(&resource)
	return sighting{
		uid: string(shows.meta.UID), version: shows.meta.ResourceVersion, generation: shows.meta.Generation, annotations: shows.meta.Annotations,
		conditions: *shows.conditions,
		etags:      [2]string{*shows.publicETag, *shows.privateETag},
	}
}
