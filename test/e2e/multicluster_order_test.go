//go:build e2e

package e2e

import "testing"

// TestMulticluster runs in a lab of its own. Its parts are in the order in which
// they use the lab: disruptive parts come last. Those that need nothing but
// applications of their own come after these, all at once. Of one part:
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
		{"AFlatPeerIsReachedAtItsPods", multiclusterAFlatPeerIsReachedAtItsPods},
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
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"AServiceInSeveralClustersIsOne", multiclusterAServiceInSeveralClustersIsOne},
		{"ASharedServiceIsBalancedOverBothClusters", multiclusterASharedServiceIsBalancedOverBothClusters},
		{"RequestsStayAtHomeWhereTheServiceSaysSo", multiclusterRequestsStayAtHomeWhereTheServiceSaysSo},
		{"ALabelledServiceStaysInItsCluster", multiclusterALabelledServiceStaysInItsCluster},
		{"ALabelledNamespaceStaysInItsCluster", multiclusterALabelledNamespaceStaysInItsCluster},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t)
		})
	}
}
