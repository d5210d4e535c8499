//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator looks at both programs that accept peers.
func multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator(t *testing.T) {
	l := meshOf(t)
	stays, leaves := l.a, l.b
	t.Cleanup(func() { l.awaitPeers(t) })
	leaves.reconfigure(t, map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}})
	certificate := stays.clientCertificate(t)
	asks := func(wanted int) {
		t.Helper()
		for what, token := range map[string]string{"a token": stays.tokenForPeer(t, leaves, authn.ScopeAPI), "a certificate": ""} {
			eventually(t, restarted, "the API proxy answers "+what, func() string {
				shown := certificate
				if token != "" {
					shown = nil
				}
				return want(askAPI(t, leaves, "/version", token, shown))(wanted)
			})
		}
		caller{token: stays.tokenForPeer(t, leaves, authn.ScopePrivateMulticluster)}.awaitStatus(t, leaves, metadata.MulticlusterPath, wanted)
		caller{certificate: certificate}.awaitStatus(t, leaves, metadata.MulticlusterPath, wanted)
	}
	asks(http.StatusOK)
	resume := leaves.stopOperator(t)
	watch := leaves.holdWatch(t, stays.tokenForPeer(t, leaves, authn.ScopeAPI))
	rejected := func() {
		t.Helper()
		asks(http.StatusUnauthorized)
		if _, ok := leaves.trustedPeers(t)[stays.name]; !ok {
			t.Errorf("%s has been taken out of the Secret: the operator runs", stays.name)
		}
	}

	comeBack := leaves.part(t, stays)
	select {
	case ended := <-watch:
		if ended != nil {
			t.Errorf("the watch that %s held has broken off: %v", stays.name, ended)
		}
	case <-time.After(prompt):
		t.Fatalf("the watch that %s holds goes on", stays.name)
	}
	rejected()
	comeBack()
	rejected() // the resource is another, and nobody has accepted a cluster for it

	resume()
	asks(http.StatusOK)
	// An istiod that was rejected asks less and less often, and comes back by itself.
	namespace := everywhere(t, stays, leaves)
	leaves.application(t, namespace, "api")
	sidecar := stays.sidecar(t, stays.podWithSidecar(t, namespace, "client", "client"), defaultIstio())
	awaitWithin(t, scheduled, sidecar, stays.name+" reads "+leaves.name+" again",
		sendsTo(leaves.hostname(t, namespace, "api"), stays.gatewayOf(t, leaves)))
}
