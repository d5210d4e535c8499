package server_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestAStrangersConnectionsAreLimitedAndKeepNoPeerOut(t *testing.T) {
	e := start(t)
	token := bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))
	if got := e.ask(http.MethodGet, metadata.FederationPath, token...); got.code != http.StatusOK {
		t.Fatalf("a peer gets %d", got.code)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(e.url, "https://"), "/metadata/")
	for range 300 {
		var dialer net.Dialer
		stranger, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stranger.Close() })
	}
	peerstest.Await(t, func() string {
		open, closed := testutil.ToFloat64(e.metrics.Connections), testutil.ToFloat64(e.metrics.ConnectionsClosed)
		if open != 101 || closed != 200 {
			return fmt.Sprintf("%v open, %v closed; want the peer's and 100", open, closed)
		}
		return ""
	})
	if got := e.ask(http.MethodGet, metadata.FederationPath, token...); got.code != http.StatusOK {
		t.Errorf("the peer gets %d on its connection", got.code)
	}
	if got := e.as(nil).ask(http.MethodGet, metadata.FederationPath, token...); got.code != http.StatusOK {
		t.Errorf("the peer gets %d on a new connection", got.code)
	}
}
