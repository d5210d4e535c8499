package server

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
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

func TestAPeerWithTooManyRequestsIsRejectedAndOthersAreAnswered(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	registry := peers.NewRegistry(v1alpha1.IstioFederationKind)
	peerstest.Accept(t, registry, peerstest.Entries(v1alpha1.IstioFederationKind, b, c))
	handler := NewHandler(Options{
		Documents: documents.NewSet("cluster.local", nil), Peers: registry, ClusterUUID: "uuid-a",
		Ready: func() error { return nil }, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler),
	})
	ask := func(of peerstest.Peer) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, Prefix+metadata.FederationPath, nil)
		r.Header.Set("Authorization", "Bearer "+of.Token(t, "uuid-a", authn.ScopePrivateFederation))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		return recorder
	}
	var last func()
	for range maxOfOnePeer {
		done, ok := handler.begin(httptest.NewRequest(http.MethodGet, "/", nil), b.UUID)
		if !ok {
			t.Fatal("a request within the limit is rejected")
		}
		last = done
	}
	got := ask(b)
	if got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "retry when one has finished") {
		t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
	}
	// There is no document yet: 503 is the answer to a request that was admitted.
	if got := ask(c); got.Code != http.StatusServiceUnavailable {
		t.Errorf("another peer gets %d", got.Code)
	}
	last()
	for range 3 { // each gives its place back
		if got := ask(b); got.Code != http.StatusServiceUnavailable {
			t.Errorf("with room again the peer gets %d", got.Code)
		}
	}
}
