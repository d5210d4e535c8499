//go:build e2e

package e2e

import "testing"

// TestMulticluster runs in a lab of its own. Its parts are in the order in which
// they use the lab: disruptive parts come last. Of one part:
// -run 'TestMulticluster/TrustIsMutualOrNone'.
func TestMulticluster(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"EveryIstiodReadsTheOthersThroughTheirAPIProxies", multiclusterEveryIstiodReadsTheOthersThroughTheirAPIProxies},
		{"TheAPIProxyIsReachedByItsPublicName", multiclusterTheAPIProxyIsReachedByItsPublicName},
		{"AClientCertificateOpensTheAPIProxyWhereTLSIsPassedThrough", multiclusterAClientCertificateOpensTheAPIProxyWhereTLSIsPassedThrough},
		{"WorksBesideFederation", multiclusterWorksBesideFederation},
		{"EveryPeerAnswersCallsThroughTheMesh", multiclusterEveryPeerAnswersCallsThroughTheMesh},
		{"AServiceInSeveralClustersIsOne", multiclusterAServiceInSeveralClustersIsOne},
		{"AFlatPeerIsReachedAtItsPods", multiclusterAFlatPeerIsReachedAtItsPods},
		{"ASharedServiceIsBalancedOverBothClusters", multiclusterASharedServiceIsBalancedOverBothClusters},
		{"RequestsStayAtHomeWhereTheServiceSaysSo", multiclusterRequestsStayAtHomeWhereTheServiceSaysSo},
		{"ALabelledServiceStaysInItsCluster", multiclusterALabelledServiceStaysInItsCluster},
		{"ALabelledNamespaceStaysInItsCluster", multiclusterALabelledNamespaceStaysInItsCluster},
		{"ATenantsLabelsStopNobody", multiclusterATenantsLabelsStopNobody},
		{"TrustIsMutualOrNone", multiclusterTrustIsMutualOrNone},
		{"ADeletedResourceTakesItsRightsAwayWithoutTheOperator", multiclusterADeletedResourceTakesItsRightsAwayWithoutTheOperator},
		{"EveryVersionOfIstiodReadsPeers", multiclusterEveryVersionOfIstiodReadsPeers},
		{"ACutOffPeerCostsWhatIsInFlight", multiclusterACutOffPeerCostsWhatIsInFlight},
		{"APeerThatIsCutOffIsNotForgottenAndComesBack", multiclusterAPeerThatIsCutOffIsNotForgottenAndComesBack},
		{"AnIstiodThatStartsWhileAPeerIsAwayReadsItLater", multiclusterAnIstiodThatStartsWhileAPeerIsAwayReadsItLater},
		{"TheMeshRecoversAfterAKill", multiclusterTheMeshRecoversAfterAKill},
	} {
		t.Run(part.name, part.run)
	}
}
