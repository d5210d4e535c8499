package main

import (
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// gatewayAPIEcho is the name by which Gateway API's conformance tests ask for a former version of Istio's echo.
const gatewayAPIEcho = "registry.k8s.io/gateway-api/echo-advanced:v1.5.1"

// jwtServer is the name of Istio's server of public keys in its tests' manifest.
const jwtServer = "registry.istio.io/testing/jwt-server:0.8"

// optionalImages have one program each, and are there when a target of the Makefile has built it.
func (p project) optionalImages(version istioversion.Version) []oci.Image {
	user := oci.UserAndGroup(oci.EchoUser)
	var images []oci.Image
	for _, each := range []struct {
		program    string
		references []string
		config     v1.Config
	}{
		// What tests by others run besides echo: `make conformance`.
		{p.tool("conformance", "servers", "extauthz"), istioReference("ext-authz", version), v1.Config{}},
		{p.tool("conformance", "servers", "jwt-server"), []string{jwtServer}, v1.Config{}},
		{p.tool("jaeger", "jaeger"), []string{"lab.local/jaeger:1"}, v1.Config{User: user}},             // `make observability`
		{p.tool("prometheus", "prometheus"), []string{"lab.local/prometheus:1"}, v1.Config{User: user}}, // `make observability`
		// What `make bench` puts a load on proxies with.
		{p.tool("fortio", "fortio"), []string{"lab.local/fortio:1"}, v1.Config{User: user, Env: []string{"PATH=/usr/local/bin"}}},
	} {
		if _, err := os.Stat(each.program); err != nil {
			continue
		}
		name := filepath.Base(each.program)
		inside := path.Join(programsFolder, name)
		each.config.Entrypoint = []string{"/" + inside}
		images = append(images, oci.Image{
			Name: oci.CamelCase(name), References: each.references, Config: each.config,
			Layers: [][]oci.Entry{oci.Scratch("application", oci.EchoUser), {oci.Program(inside, each.program)}},
		})
	}
	return images
}
