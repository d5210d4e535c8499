//go:build e2e

package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// stopOperator freezes the cluster's operator until resume is called, or the test ends.
func (c *cluster) stopOperator(t *testing.T) (resume func()) {
	t.Helper()
	pid := c.pid(t, "operator")
	if pid == 0 {
		t.Fatal("lab.json does not know the operator's process")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop the operator of %s (pid %d): %v", c.name, pid, err)
	}
	resume = func() { _ = syscall.Kill(pid, syscall.SIGCONT) } // without effect when it runs
	t.Cleanup(resume)
	return resume
}

func TestADeletedFederationTakesItsRightsAwayWithoutTheOperator(t *testing.T) {
	awaitJoined(t)
	byToken := visitor{token: suite.a.tokenForPeer(t, suite.b, authn.ScopePrivateFederation)}
	byCertificate := visitor{certificate: suite.a.clientCertificate(t)}
	t.Cleanup(func() {
		byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		awaitJoined(t)
	})
	suite.b.reconfigure(t, map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}})
	byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	byToken.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)

	resume := suite.b.stopOperator(t)
	refused := func() {
		t.Helper()
		byToken.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		if _, ok := suite.b.trustedPeers(t)[suite.a.name]; !ok {
			t.Errorf("%s has been taken out of the Secret: the operator runs", suite.a.name)
		}
	}
	comeBack := suite.b.remove(t, federations, suite.a.name)
	refused()
	comeBack()
	refused() // the resource is another, and nobody has accepted a cluster for it

	resume()
	byToken.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
}

// multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator looks at both programs that let neighbours in.
func multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator(t *testing.T) {
	l := meshed(t, multiclusterMode)
	stays, leaves := l.clusters[0], l.clusters[1]
	t.Cleanup(func() { l.awaitJoined(t) })
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
		visitor{token: stays.tokenForPeer(t, leaves, authn.ScopePrivateMulticluster)}.awaitStatus(t, leaves, metadata.MulticlusterPath, wanted)
		visitor{certificate: certificate}.awaitStatus(t, leaves, metadata.MulticlusterPath, wanted)
	}
	asks(http.StatusOK)
	resume := leaves.stopOperator(t)
	watch := leaves.holdWatch(t, stays.tokenForPeer(t, leaves, authn.ScopeAPI))
	refused := func() {
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
	refused()
	comeBack()
	refused() // the resource is another, and nobody has accepted a cluster for it

	resume()
	asks(http.StatusOK)
}
