package cluster

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// identities tells which service accounts stand behind a Service. A Service
// without endpoints keeps those last seen: unknown is not absent. That memory
// ends with the process; what neighbours saw before, they remember themselves.
type identities struct {
	pods cache.Store
	// last is by the Service's UID: a namesake that replaced it is another Service.
	last map[types.UID][]string

	mu      sync.Mutex
	backing backing
}

func newIdentities(pods cache.Store) *identities {
	return &identities{pods: pods, last: map[types.UID][]string{}, backing: newBacking()}
}

// of is a publicservices.ServiceAccountsOf. Only the feed's own goroutine calls it.
func (i *identities) of(service *publicservices.Candidate) []string {
	accounts := publicservices.ServiceAccounts(service, i.endpointsOf(service))
	switch {
	case accounts == nil:
		delete(i.last, service.UID)
	case len(accounts) == 0:
		if last, ok := i.last[service.UID]; ok {
			return last
		}
	default:
		i.last[service.UID] = accounts
	}
	return accounts
}

func (i *identities) endpointsOf(service *publicservices.Candidate) []publicservices.Endpoint {
	i.mu.Lock()
	defer i.mu.Unlock()
	var endpoints []publicservices.Endpoint
	for _, slice := range i.backing.slices[types.NamespacedName{Namespace: service.Namespace, Name: service.Name}] {
		if slice.foreign {
			endpoints = append(endpoints, publicservices.Endpoint{})
		}
		for _, name := range slice.pods {
			endpoint := publicservices.Endpoint{IsPod: true}
			if object, exists, _ := i.pods.GetByKey(slice.Namespace + "/" + name); exists {
				if pod, ok := object.(*meshPod); ok {
					endpoint.ServiceAccount = pod.serviceAccount.Value()
				}
			}
			endpoints = append(endpoints, endpoint)
		}
	}
	return endpoints
}

// endpointSliceEvents follows the EndpointSlices, and calls changed when other
// Pods stand behind a Service.
func (i *identities) endpointSliceEvents(changed func()) cache.ResourceEventHandler {
	replace := func(before, after any) {
		old, wasThere := before.(*endpointSlice)
		now, isThere := after.(*endpointSlice)
		i.mu.Lock()
		if wasThere {
			i.backing.remove(old)
		}
		if isThere {
			i.backing.add(now)
		}
		i.mu.Unlock()
		if !wasThere || !isThere || !sameEndpoints(old, now) {
			changed()
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { replace(nil, object) },
		UpdateFunc: replace,
		DeleteFunc: func(object any) { replace(lastSeen(object), nil) },
	}
}

// podEvents calls changed for a Pod whose endpoints were there before it, or
// are after it, and for a namesake that took its place. A Pod's own service
// account never changes: most events are nothing to act upon.
func (i *identities) podEvents(changed func()) cache.ResourceEventHandler {
	ifAwaited := func(pod any) {
		if i.awaited(pod) {
			changed()
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: ifAwaited,
		UpdateFunc: func(before, after any) {
			old, known := before.(*meshPod)
			if now, ok := after.(*meshPod); ok && known && old.serviceAccount != now.serviceAccount {
				ifAwaited(now)
			}
		},
		DeleteFunc: func(object any) { ifAwaited(lastSeen(object)) },
	}
}

// lastSeen is the deleted object as it was last known.
func lastSeen(object any) any {
	if unseen, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return unseen.Obj
	}
	return object
}

// awaited is true for a Pod that the endpoints of a published Service point to.
func (i *identities) awaited(object any) bool {
	pod, ok := object.(*meshPod)
	if !ok {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.backing.pods[pod.NamespacedName] > 0
}

// forgetOthers drops what is remembered of Services that are gone.
func (i *identities) forgetOthers(present []*publicservices.Candidate) {
	if len(i.last) <= len(present) {
		return // at most one entry a Service: there is little to drop
	}
	kept := make(map[types.UID][]string, len(present))
	for _, service := range present {
		if accounts, ok := i.last[service.UID]; ok {
			kept[service.UID] = accounts
		}
	}
	i.last = kept
}
