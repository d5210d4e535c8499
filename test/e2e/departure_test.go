//go:build e2e

package e2e

import (
	"net/http"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestADeletedFederationTakesItsRightsAwayWithoutTheOperator(t *testing.T) {
	awaitPeers(t)
	// A token lives for five minutes, less than this test may take.
	byToken := func() caller { return caller{token: suite.a.tokenForPeer(t, suite.b, authn.ScopePrivateFederation)} }
	byCertificate := caller{certificate: suite.a.clientCertificate(t)}
	t.Cleanup(func() {
		byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		awaitPeers(t)
	})
	suite.b.reconfigure(t, map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}})
	byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	byToken().awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)

	resume := suite.b.stopOperator(t)
	rejected := func() {
		t.Helper()
		byToken().awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		if _, ok := suite.b.trustedPeers(t)[suite.a.name]; !ok {
			t.Errorf("%s has been taken out of the Secret: the operator runs", suite.a.name)
		}
	}
	comeBack := suite.b.remove(t, federations, suite.a.name)
	rejected()
	comeBack()
	rejected() // the resource is another, and nobody has accepted a cluster for it

	resume()
	byToken().awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	byCertificate.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
}
