package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

func keptSlice(name, service string, pods ...string) *endpointSlice {
	return &endpointSlice{
		identity: identity{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}},
		service:  types.NamespacedName{Namespace: "shop", Name: service}, pods: pods,
	}
}

func keptPod(name string) *meshPod {
	return &meshPod{identity: identity{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}}
}

func TestTheSlicesBehindAServiceFollowEvents(t *testing.T) {
	identities := newIdentities(cache.NewStore(cache.MetaNamespaceKeyFunc))
	changes := 0
	events := identities.endpointSliceEvents(func() { changes++ })
	endpoints := func(service string) int {
		return len(identities.endpointsOf(&publicservices.Candidate{Namespace: "shop", Name: service}))
	}
	expect := func(step string, wantChanges, web, api int, awaited ...string) {
		t.Helper()
		if changes != wantChanges || endpoints("web") != web || endpoints("api") != api {
			t.Errorf("%s: %d changes, %d and %d endpoints; want %d, %d and %d", step, changes, endpoints("web"), endpoints("api"), wantChanges, web, api)
		}
		for _, pod := range awaited {
			if !identities.awaited(keptPod(pod)) {
				t.Errorf("%s: %s is not awaited", step, pod)
			}
		}
		if got := len(identities.backing.pods); got != len(awaited) {
			t.Errorf("%s: %d Pods are awaited, want %d", step, got, len(awaited))
		}
	}
	first, second := keptSlice("web-1", "web", "a", "b"), keptSlice("web-2", "web", "b", "c")
	events.OnAdd(first, true)
	events.OnAdd(second, false)
	expect("two slices with a Pod in common", 2, 4, 0, "a", "b", "c")

	events.OnUpdate(first, keptSlice("web-1", "web", "a", "b"))
	expect("an update of nothing", 2, 4, 0, "a", "b", "c")

	shrunk := keptSlice("web-1", "web", "a")
	events.OnUpdate(first, shrunk)
	expect("a slice lost the Pod both had", 3, 3, 0, "a", "b", "c")

	moved := keptSlice("web-2", "api", "d")
	events.OnUpdate(second, moved)
	expect("a slice went to another Service", 4, 1, 1, "a", "d")

	events.OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/web-1", Obj: shrunk})
	expect("a deletion nobody saw", 5, 0, 1, "d")
	events.OnDelete(moved)
	expect("the last one goes", 6, 0, 0)
	if len(identities.backing.slices) != 0 {
		t.Errorf("slices stay: %v", identities.backing.slices)
	}
}
