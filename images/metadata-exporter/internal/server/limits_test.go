package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

func TestHeldRequestsAreLimited(t *testing.T) {
	handler := NewHandler(Options{
		Documents: documents.NewSet("cluster.local", nil), Peers: peers.NewRegistry(), Metrics: telemetry.NewMetrics(),
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
			}()
			for index := range test.all {
				caller := index / test.ofOne
				if index == test.ofOne { // the first caller has reached its limit, the next none of it
					if _, ok := admit(test.route, 0); ok {
						t.Error("one caller has more requests than its limit")
					}
				}
				release, ok := admit(test.route, caller)
				if !ok {
					t.Fatalf("request %d, of caller %d, is not held", index+1, caller)
				}
				releases = append(releases, release)
			}
			if _, ok := admit(test.route, test.all); ok {
				t.Error("a request beyond the limit is held")
			}
			if test.route == public { // unknown callers cannot exhaust the peers' limit
				release, ok := admit(private, 0)
				if !ok {
					t.Fatal("a peer's request is not held")
				}
				release()
			}
			last := len(releases) - 1
			releases[last]()
			release, ok := admit(test.route, test.all)
			if !ok {
				t.Fatal("a released request leaves no room for another")
			}
			releases[last] = release
		})
	}
}
