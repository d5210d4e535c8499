package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// inMesh selects the Pods with a sidecar: Istio's injector labels them. Others
// have no identity in the mesh, and caching all Pods of a big cluster costs memory.
const inMesh = "security.istio.io/tlsMode=istio"

// backing has the EndpointSlices behind each Service, and the Pods they point to.
// It follows events, since a cache's own indexes need a set of 200 bytes for each
// name. Its user holds the lock.
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

// remove removes the EndpointSlice of that name with all it pointed to.
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

// sameEndpoints is true for an update of an EndpointSlice that changes no document.
func sameEndpoints(old, now *endpointSlice) bool {
	return old.service == now.service && old.foreign == now.foreign && slices.Equal(old.pods, now.pods)
}
