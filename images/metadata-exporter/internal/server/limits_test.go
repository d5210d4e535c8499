package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/peers"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
)

func TestPlacesOfWaitersAreLimited(t *testing.T) {
	handler := NewHandler(Options{
		Documents: documents.NewSet("cluster.local", nil), Peers: peers.New(), Metrics: telemetry.NewMetrics(),
	})
	public := &route{path: "public"}
	private := &route{path: "private", audience: &audience{}}
	admit := func(route *route, caller int) (func(), bool) {
		r := &http.Request{RemoteAddr: fmt.Sprintf("[2001:db8::%x]:%d", caller, 1024+rand.IntN(60000))}
		return handler.admit(r, route, grant{caller: fmt.Sprint("uuid-", caller)})
	}
	for name, test := range map[string]struct {
		route      *route
		all, ofOne int
	}{
		"anyone": {public, maxHeldPublic, maxHeldPublicOfOne},
		"peers":  {private, maxHeldPrivate, maxHeldPrivateOfOne},
	} {
		t.Run(name, func(t *testing.T) {
			var releases []func()
			defer func() {
				for _, release := range releases {
					release()
				}
				if places := &handler.privateWaiters; test.route == private && (places.total != 0 || len(places.byCaller) != 0) {
					t.Errorf("%d places are still taken, of %v", places.total, places.byCaller)
				}
			}()
			for index := range test.all {
				caller := index / test.ofOne
				if index == test.ofOne { // the first caller has all of its places, the next none yet
					if _, ok := admit(test.route, 0); ok {
						t.Error("one caller has more places than it should")
					}
				}
				release, ok := admit(test.route, caller)
				if !ok {
					t.Fatalf("waiter %d, of caller %d, has no place", index+1, caller)
				}
				releases = append(releases, release)
			}
			if _, ok := admit(test.route, test.all); ok {
				t.Error("one too many has a place")
			}
			if test.route == public { // strangers cannot take the peers' places
				release, ok := admit(private, 0)
				if !ok {
					t.Fatal("a peer has no place")
				}
				release()
			}
			last := len(releases) - 1
			releases[last]()
			release, ok := admit(test.route, test.all)
			if !ok {
				t.Fatal("a place that became free is not given again")
			}
			releases[last] = release
		})
	}
}
