package main

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// gatewayAPIEcho is the name by which Gateway API's conformance tests ask for a former version of Istio's echo.
const gatewayAPIEcho = "registry.k8s.io/gateway-api/echo-advanced:v1.5.1"

// jwtServer is the name of Istio's server of public keys in its tests' manifest.
const jwtServer = "registry.istio.io/testing/jwt-server:0.8"

// suiteImages are what tests by others run besides echo, when tools/conformance has built it.
func (p project) suiteImages(version istioversion.Version) []oci.Image {
	const folder = "servers"
	if _, err := os.Stat(p.tool("conformance", folder)); err != nil {
		return nil
	}
	server := func(file string, references ...string) oci.Image {
		return oci.Image{
			Name: oci.CamelCase(file), References: references,
			Layers: [][]oci.Entry{oci.Scratch("application", oci.EchoUser), {oci.Program("usr/local/bin/"+file, p.tool("conformance", folder, file))}},
			Config: v1.Config{Entrypoint: []string{"/usr/local/bin/" + file}},
		}
	}
	return []oci.Image{
		server("extauthz", istioReference("ext-authz", version)...),
		server("jwt-server", jwtServer),
	}
}
