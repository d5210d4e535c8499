//go:build e2e

package e2e

import "testing"

// TestMulticluster has labs of its own, one after the other, so it runs beside
// what else leaves the suite's lab alone. Its parts are in the order in which
// they use a lab: what is rough comes late, the lab of the other mode last. Of
// one part: -run 'TestMulticluster/TrustIsMutualOrNone'.
func TestMulticluster(t *testing.T) {
	t.Parallel()
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"EveryIstiodReadsTheOthersThroughTheirAPIProxies", multiclusterEveryIstiodReadsTheOthersThroughTheirAPIProxies},
		{"TheAPIProxyIsReachedAtTheAddressOfTheLab", multiclusterTheAPIProxyIsReachedAtTheAddressOfTheLab},
		{"AClientCertificateOpensTheAPIProxyWhereTLSIsPassedThrough", multiclusterAClientCertificateOpensTheAPIProxyWhereTLSIsPassedThrough},
		{"AServiceInSeveralClustersIsOne", multiclusterAServiceInSeveralClustersIsOne},
		{"AFlatNeighbourIsReachedAtItsPods", multiclusterAFlatNeighbourIsReachedAtItsPods},
		{"ALabelledServiceStaysInItsCluster", multiclusterALabelledServiceStaysInItsCluster},
		{"ALabelledNamespaceStaysInItsCluster", multiclusterALabelledNamespaceStaysInItsCluster},
		{"TrustIsMutualOrNone", multiclusterTrustIsMutualOrNone},
		{"ADeletedResourceTakesItsRightsAwayWithoutTheOperator", multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator},
		{"EveryVersionOfIstiodReadsNeighbours", multiclusterEveryVersionOfIstiodReadsNeighbours},
		{"ANeighbourThatIsCutOffIsNotForgottenAndComesBack", multiclusterANeighbourThatIsCutOffIsNotForgottenAndComesBack},
		{"AnIstiodThatStartsWhileANeighbourIsAwayReadsItLater", multiclusterAnIstiodThatStartsWhileANeighbourIsAwayReadsItLater},
		{"TheMeshIsWholeAfterAKill", multiclusterTheMeshIsWholeAfterAKill},
		{"AndFederationAreThereTogether", multiclusterAndFederationAreThereTogether},
	} {
		t.Run(part.name, part.run)
	}
}
