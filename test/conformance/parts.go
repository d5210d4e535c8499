package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// part is what one run does: one suite, or a selection of it, on one lab.
type part struct {
	name string
	// suite is its folder below .cache/tools/conformance.
	suite string
	// tests to run, as -test.run has them.
	tests string
	// flags of the suite on that lab.
	flags func(lab *runningLab, baseline bool) []string
	// clusters of the lab.
	clusters int
	// manifests are applied to each cluster before the suite starts: files and folders.
	manifests []string
}

var parts = []part{gatewayAPIMesh}

// gatewayAPIMesh are the conformance tests of Gateway API for meshes.
var gatewayAPIMesh = part{
	name: "gateway-api-mesh", suite: "gateway-api", tests: "^TestConformance$", clusters: 1,
	manifests: []string{
		filepath.Join(".cache", "tools", "conformance", "gateway-api", "crds"),
		filepath.Join("test", "conformance", "manifests", "gateway-api-mesh.yaml"),
	},
	flags: func(*runningLab, bool) []string {
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

func (p part) listFile() string { return filepath.Join("test", "conformance", "lists", p.name+".yaml") }

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
