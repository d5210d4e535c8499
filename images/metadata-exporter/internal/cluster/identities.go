package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// identities tells which service accounts stand behind a Service. A Service
// without endpoints keeps those last seen: unknown is not absent. That memory
// ends with the process; what neighbours saw before, they remember themselves.
type identities struct {
	endpointSlices cache.Indexer
	pods           cache.Store
	// last is by the Service's UID: a namesake that replaced it is another Service.
	last map[types.UID][]string
}

func newIdentities(endpointSlices cache.Indexer, pods cache.Store) *identities {
	return &identities{endpointSlices: endpointSlices, pods: pods, last: map[types.UID][]string{}}
}

// of is a publicservices.ServiceAccountsOf. Only the feed's own goroutine calls it.
func (i *identities) of(service *corev1.Service) []string {
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

func (i *identities) endpointsOf(service *corev1.Service) []publicservices.Endpoint {
	found, err := i.endpointSlices.ByIndex(byService, service.Namespace+"/"+service.Name)
	if err != nil { // there is no such index: a mistake in this package
		panic(err)
	}
	var endpoints []publicservices.Endpoint
	for _, object := range found {
		slice, ok := object.(*endpointSlice)
		if !ok {
			continue
		}
		if slice.foreign {
			endpoints = append(endpoints, publicservices.Endpoint{})
		}
		for _, name := range slice.pods {
			endpoint := publicservices.Endpoint{IsPod: true}
			if object, exists, _ := i.pods.GetByKey(slice.Namespace + "/" + name); exists {
				if pod, ok := object.(*meshPod); ok {
					endpoint.ServiceAccount = pod.Namespace + "/" + pod.serviceAccount
				}
			}
			endpoints = append(endpoints, endpoint)
		}
	}
	return endpoints
}

// endpointSliceEvents calls changed when other Pods stand behind a Service.
func (i *identities) endpointSliceEvents(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if !sameEndpoints(before, after) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
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
		DeleteFunc: func(object any) {
			if unseen, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unseen.Obj
			}
			ifAwaited(object)
		},
	}
}

// awaited is true for a Pod that the endpoints of a published Service point to.
func (i *identities) awaited(object any) bool {
	pod, ok := object.(*meshPod)
	if !ok {
		return false
	}
	found, err := i.endpointSlices.ByIndex(byPod, pod.Namespace+"/"+pod.Name)
	return err == nil && len(found) > 0
}

// forgetOthers drops what is remembered of Services that are gone.
func (i *identities) forgetOthers(present []*corev1.Service) {
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
