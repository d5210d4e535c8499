package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

func cachedSlice(name, service string, pods ...string) *endpointSlice {
	return &endpointSlice{
		Meta:    informer.Meta{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}},
		service: types.NamespacedName{Namespace: "shop", Name: service}, pods: pods,
	}
}

func cachedPod(name string) *meshPod {
	return &meshPod{Meta: informer.Meta{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}}
}

func TestTheSlicesBehindAServiceFollowEvents(t *testing.T) {
	identities := newIdentities()
	identities.pods = cache.NewStore(cache.MetaNamespaceKeyFunc)
	changes := 0
	events := identities.endpointSliceEvents(func() { changes++ })
	endpoints := func(service string) int {
		return len(identities.endpointsOf(&publicservices.Candidate{Namespace: "shop", Name: service}))
	}
	expect := func(step string, wantChanges, web, api int, needed ...string) {
		t.Helper()
		if changes != wantChanges || endpoints("web") != web || endpoints("api") != api {
			t.Errorf("%s: %d changes, %d and %d endpoints; want %d, %d and %d", step, changes, endpoints("web"), endpoints("api"), wantChanges, web, api)
		}
		for _, pod := range needed {
			if !identities.needed(cachedPod(pod)) {
				t.Errorf("%s: %s is not needed", step, pod)
			}
		}
		if got := len(identities.backing.pods); got != len(needed) {
			t.Errorf("%s: %d Pods are needed, want %d", step, got, len(needed))
		}
	}
	first, second := cachedSlice("web-1", "web", "a", "b"), cachedSlice("web-2", "web", "b", "c")
	events.OnAdd(first, true)
	events.OnAdd(second, false)
	expect("two slices with a Pod in common", 2, 4, 0, "a", "b", "c")

	events.OnUpdate(first, cachedSlice("web-1", "web", "a", "b"))
	expect("an update of nothing", 2, 4, 0, "a", "b", "c")

	shrunk := cachedSlice("web-1", "web", "a")
	events.OnUpdate(first, shrunk)
	expect("a slice lost the Pod both had", 3, 3, 0, "a", "b", "c")

	moved := cachedSlice("web-2", "api", "d")
	events.OnUpdate(second, moved)
	expect("a slice moved to another Service", 4, 1, 1, "a", "d")

	events.OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/web-1", Obj: shrunk})
	expect("a deletion that the watch missed", 5, 0, 1, "d")
	events.OnDelete(moved)
	expect("the last one is deleted", 6, 0, 0)
	if len(identities.backing.slices) != 0 {
		t.Errorf("slices remain: %v", identities.backing.slices)
	}
}
