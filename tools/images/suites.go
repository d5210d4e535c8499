package main

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// gatewayAPIEcho is the name by which Gateway API's conformance tests ask for a former version of Istio's echo.
const gatewayAPIEcho = "registry.k8s.io/gateway-api/echo-advanced:v1.5.1"

// jwtServer is the name of Istio's server of public keys in its tests' manifest.
const jwtServer = "registry.istio.io/testing/jwt-server:0.8"

// suiteImages are what tests by others run besides echo, when tools/conformance has built it.
func (p project) suiteImages(version istioversion.Version) []image {
	const folder = "servers"
	if _, err := os.Stat(p.tool("conformance", folder)); err != nil {
		return nil
	}
	server := func(file string, references ...string) image {
		return image{
			name: camelCase(file), references: references,
			layers: [][]entry{scratch("application", echoUser), {program("usr/local/bin/"+file, p.tool("conformance", folder, file))}},
			config: v1.Config{Entrypoint: []string{"/usr/local/bin/" + file}},
		}
	}
	return []image{
		server("extauthz", istioReference("ext-authz", version)...),
		server("jwt-server", jwtServer),
	}
}
