package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// inMesh selects the Pods that got a sidecar: Istio's injector labels them.
// Others have no identity in the mesh, and reading them all would cost a big
// cluster's memory.
const inMesh = "security.istio.io/tlsMode=istio"

// newEndpointSliceInformer watches the EndpointSlices of published Services:
// Kubernetes copies a Service's labels to them.
func newEndpointSliceInformer(api API) cache.SharedIndexInformer {
	return newInformer(api.EndpointSlices, &discoveryv1.EndpointSlice{}, func(options *metav1.ListOptions) {
		options.LabelSelector = v1alpha1.PublicServiceLabel
	})
}

func newPodInformer(api API) cache.SharedIndexInformer {
	return newInformer(api.Pods, &corev1.Pod{}, func(options *metav1.ListOptions) { options.LabelSelector = inMesh })
}

// backing is which EndpointSlices stand behind a Service, and which Pods they
// point to. It follows events, since a cache's own indexes would take a set of
// 200 bytes for each name. Whoever uses it holds the lock.
type backing struct {
	slices map[types.NamespacedName][]*endpointSlice
	// pods counts the EndpointSlices that point to a Pod.
	pods map[types.NamespacedName]int
}

func newBacking() backing {
	return backing{slices: map[types.NamespacedName][]*endpointSlice{}, pods: map[types.NamespacedName]int{}}
}

func (b *backing) add(slice *endpointSlice) {
	b.slices[slice.service] = append(b.slices[slice.service], slice)
	for _, pod := range slice.pods {
		b.pods[types.NamespacedName{Namespace: slice.Namespace, Name: pod}]++
	}
}

// remove the EndpointSlice of that name, whatever it pointed to.
func (b *backing) remove(slice *endpointSlice) {
	known := b.slices[slice.service]
	index := slices.IndexFunc(known, func(each *endpointSlice) bool { return each.NamespacedName == slice.NamespacedName })
	if index < 0 {
		return
	}
	for _, pod := range known[index].pods {
		key := types.NamespacedName{Namespace: slice.Namespace, Name: pod}
		if b.pods[key]--; b.pods[key] == 0 {
			delete(b.pods, key)
		}
	}
	if known = slices.Delete(known, index, index+1); len(known) == 0 {
		delete(b.slices, slice.service)
	} else {
		b.slices[slice.service] = known
	}
}

// sameEndpoints is true when an update of an EndpointSlice is nothing to act upon.
func sameEndpoints(old, now *endpointSlice) bool {
	return old.service == now.service && old.foreign == now.foreign && slices.Equal(old.pods, now.pods)
}
