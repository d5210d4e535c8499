package main

import (
	"path/filepath"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// istioSecurity are Istio's integration tests of mutual TLS, authorization and JWT.
var istioSecurity = part{
	name: "istio-security", suite: "istio-security", clusters: 1, flags: istioFlags,
	skip:      "^TestAuthz_MultipleCustomProviders_",
	tests:     "^(TestAuthz_.*|TestRequestAuthentication|TestMtlsHealthCheck|TestNormalization|TestPassThroughFilterChain)$",
	manifests: istioManifests, withoutOperator: true, installs: true,
}

// istioSecurityShort is what `make test` runs of it.
var istioSecurityShort = part{
	name: "istio-security-short", partOf: istioSecurity.name, suite: istioSecurity.suite, clusters: 1, flags: istioFlags,
	tests:     "^(TestAuthz_Principal|TestAuthz_JWT|TestAuthz_IngressGateway|TestRequestAuthentication)$",
	manifests: istioManifests, withoutOperator: true, installs: true,
}

// istioReachability is the slowest test of that folder: who reaches whom under each mode of mutual TLS, and what migrates.
var istioReachability = part{
	name: "istio-reachability", suite: istioSecurity.suite, clusters: 1, flags: istioFlags,
	tests:     "^TestReachability$",
	manifests: istioManifests, withoutOperator: true, installs: true,
}

// istioTraffic is Istio's matrix of traffic, all but what enters by a gateway.
var istioTraffic = part{
	name: "istio-traffic", suite: "istio-pilot", clusters: 1, flags: istioFlags,
	tests: "^TestTraffic$", skip: "^TestTraffic$/" + throughGateways,
	manifests: istioManifests, withoutOperator: true, installs: true,
}

// istioTrafficGateways is the rest of that matrix.
var istioTrafficGateways = part{
	name: "istio-traffic-gateways", suite: istioTraffic.suite, clusters: 1, flags: istioFlags,
	tests:     "^TestTraffic$/" + throughGateways,
	manifests: istioManifests, withoutOperator: true, installs: true,
}

const throughGateways = "^(jwt-claim-route|gateway|autopassthrough)$"

// istioLocality are Istio's tests of which endpoints are near enough.
var istioLocality = part{
	name: "istio-locality", suite: istioTraffic.suite, clusters: 1, flags: istioFlags,
	tests:     "^(TestLocality|TestZoneAwareLoadBalancer)$",
	manifests: istioManifests, withoutOperator: true, installs: true,
}

// istioMulticluster runs on two clusters of one mesh whose Pod ranges are not routed: they reach each other through their gateways.
var istioMulticluster = part{
	name: "istio-multicluster", suite: istioTraffic.suite, clusters: 2, network: "separate", flags: istioFlags,
	tests:     "^(TestClusterLocal|TestTraffic)$/^(MeshConfig.serviceSettings|subsets|cross_cluster|services)$",
	manifests: istioManifests, withoutOperator: true,
}

// istioManifests are what Istio's tests expect in a cluster beside istiod.
var istioManifests = []string{
	filepath.Join(".cache", "tools", "conformance", "gateway-api", "crds"),
	filepath.Join("test", "conformance", "manifests", "istio-gateways.yaml"),
}

// istioFlags are those of Istio's test framework.
func istioFlags(on *runningLab, folder string, baseline bool) []string {
	version := istioversion.Default()
	flags := []string{
		on.clusterFlag(folder, baseline),
		"--istio.test.work_dir=" + folder,
		"--istio.test.hub=docker.io/istio",
		"--istio.test.tag=" + version.ModuleFull(),
		"--istio.test.pullpolicy=IfNotPresent",
		// Virtual machines are Pods of an image of a whole Ubuntu.
		"--istio.test.skipVM",
		// What is stored of a cluster when a test fails takes longer than most tests.
		"--istio.test.maxDumps=1",
	}
	if baseline {
		// The framework installs Istio by itself. A stock Envoy lacks the filter of Istio's metrics.
		return append(flags, "--istio.test.kube.helm.values=telemetry.enabled=false", "--istio.test.kube.deployEastWestGW=false")
	}
	return append(flags,
		"--istio.test.kube.deploy=false",
		"--istio.test.revision="+version.Revision(),
		"--istio.test.kube.systemNamespace=d8-istio",
		// Its CRDs are there already, those of the standard channel.
		"--istio.test.kube.deployGatewayAPI=false",
		"--istio.test.kube.ingressGatewayServiceNamespace="+gatewaysNamespace,
		"--istio.test.kube.egressGatewayServiceNamespace="+gatewaysNamespace,
	)
}

// gatewaysNamespace is where manifests/istio-gateways.yaml puts them.
const gatewaysNamespace = "istio-gateways"
