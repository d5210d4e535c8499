package cluster

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// identities knows which service accounts are behind a Service. A Service without
// endpoints retains those last seen: unknown is not absent. That memory ends with
// the process; peers remember by themselves what they saw before.
type identities struct {
	// pods is set before the first event.
	pods cache.Store
	// last is by the UID of the Service: a namesake that replaced it is another Service.
	last map[types.UID][]string

	mu      sync.Mutex
	backing backing
}

func newIdentities() *identities {
	return &identities{last: map[types.UID][]string{}, backing: newBacking()}
}

// of is a publicservices.ServiceAccountsOf. Only the Publisher's own goroutine calls it.
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
// Pods are behind a Service.
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
		DeleteFunc: func(object any) { replace(informer.LastSeen(object), nil) },
	}
}

// podEvents calls changed for a Pod that comes after its endpoints or goes before
// them, and for a namesake that replaces it. A Pod's own service account never
// changes: most events change no document.
func (i *identities) podEvents(changed func()) cache.ResourceEventHandler {
	ifNeeded := func(pod any) {
		if i.needed(pod) {
			changed()
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: ifNeeded,
		UpdateFunc: func(before, after any) {
			old, known := before.(*meshPod)
			if now, ok := after.(*meshPod); ok && known && old.serviceAccount != now.serviceAccount {
				ifNeeded(now)
			}
		},
		DeleteFunc: func(object any) { ifNeeded(informer.LastSeen(object)) },
	}
}

// needed is true for a Pod that the endpoints of a published Service point to.
func (i *identities) needed(object any) bool {
	pod, ok := object.(*meshPod)
	if !ok {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.backing.pods[pod.NamespacedName] > 0
}

// forgetOthers drops the memory of Services that do not exist any more.
func (i *identities) forgetOthers(existing []*publicservices.Candidate) {
	if len(i.last) <= len(existing) {
		return // at most one entry a Service: there is little to drop
	}
	retained := make(map[types.UID][]string, len(existing))
	for _, service := range existing {
		if accounts, ok := i.last[service.UID]; ok {
			retained[service.UID] = accounts
		}
	}
	i.last = retained
}
