package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// part is what one run does: one suite, or a selection of it, on one lab.
type part struct {
	name string
	// partOf is the part with whose list this one is compared, of which it is a selection; empty: it has a list of its own.
	partOf string
	// suite is its folder below .cache/tools/conformance.
	suite string
	// tests to run and to leave out, as -test.run and -test.skip have them.
	tests, skip string
	// flags of the suite on that lab; folder is where it may leave files.
	flags func(on *runningLab, folder string, baseline bool) []string
	// clusters of the lab, and its network where that is not the usual one of its mode.
	clusters int
	network  string
	// manifests are applied to each cluster with the module before the suite starts: files and folders.
	manifests []string
	// withoutOperator: the operator stops before the suite starts, for the suite writes into objects that the module repairs.
	withoutOperator bool
	// installs: the suite installs Istio by itself where there is none, so that there is a baseline.
	installs bool
}

var parts = []part{
	gatewayAPIMesh, istioSecurity, istioSecurityShort, istioReachability, istioTraffic, istioTrafficGateways, istioLocality, istioMulticluster,
}

// gatewayAPIMesh are the conformance tests of Gateway API for meshes.
var gatewayAPIMesh = part{
	name: "gateway-api-mesh", suite: "gateway-api", tests: "^TestConformance$", clusters: 1,
	manifests: []string{
		filepath.Join(".cache", "tools", "conformance", "gateway-api", "crds"),
		filepath.Join("test", "conformance", "manifests", "gateway-api-mesh.yaml"),
	},
	flags: func(*runningLab, string, bool) []string {
		return []string{
			"-conformance-profiles=MESH-HTTP,MESH-GRPC",
			"-supported-features=" + strings.Join(meshFeatures, ","),
			"-namespace-labels=istio-injection=enabled",
			// The lab ends with the part.
			"-cleanup-base-resources=false",
		}
	},
}

// meshFeatures are those of the mesh profiles that Istio claims.
var meshFeatures = []string{
	"Mesh", "HTTPRoute", "GRPCRoute", "HTTPRouteResponseHeaderModification", "HTTPRouteParentRefPort",
	"HTTPRoute303RedirectStatusCode", "HTTPRoute307RedirectStatusCode", "HTTPRoute308RedirectStatusCode",
	"MeshConsumerRoute", "MeshHTTPRouteBackendRequestHeaderModification", "MeshHTTPRouteNamedRouteRule",
	"MeshHTTPRouteQueryParamMatching", "MeshHTTPRouteRedirectPath", "MeshHTTPRouteRedirectPort", "MeshHTTPRouteRewritePath",
	"MeshHTTPRouteSchemeRedirect",
}

func (p part) listFile() string {
	name := p.name
	if p.partOf != "" {
		name = p.partOf
	}
	return filepath.Join("test", "conformance", "lists", name+".yaml")
}

// expected is what the list says of the tests that the part selects.
func (p part) expected(list []entry) []entry {
	// What the part selects below that has a list of its own.
	top, _, _ := strings.Cut(p.tests, "/")
	selected := regexp.MustCompile(top)
	return slices.DeleteFunc(slices.Clone(list), func(e entry) bool {
		first, _, _ := strings.Cut(e.Test, "/")
		return !selected.MatchString(first)
	})
}

func findPart(name string) (part, bool) {
	i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
	if i < 0 {
		return part{}, false
	}
	return parts[i], true
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}
