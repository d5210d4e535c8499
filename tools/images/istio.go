package main

import (
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// stockEnvoyEnv keeps istiod from configuring extensions that a stock Envoy
// lacks: Envoy would reject every listener with one of them.
var stockEnvoyEnv = []string{"PILOT_ENABLE_ALPN_FILTER=false", "PILOT_ENABLE_METADATA_EXCHANGE=false"}

// wasBuilt is true when `make tools` has built the version. The default one counts as built: it must be.
func (p project) wasBuilt(version istioversion.Version) bool {
	_, err := os.Stat(p.tool("istio", version.Revision()))
	return err == nil || version.Revision() == istioversion.Default().Revision()
}

// istioReference returns the reference under which Istio's makers publish the
// image of the version that was built: that of the Go module.
func istioReference(name string, version istioversion.Version) []string {
	return []string{"docker.io/istio/" + name + ":" + version.ModuleFull()}
}

// pilot returns istiod's image, whose environment fits the Envoy of the proxy's image.
func (p project) pilot(version istioversion.Version) (oci.Image, error) {
	whole, err := hasIstioExtensions(p.envoyOf(version.Revision()))
	if err != nil {
		return oci.Image{}, err
	}
	config := v1.Config{User: oci.UserAndGroup(oci.IstioUser), Entrypoint: []string{"/usr/local/bin/pilot-discovery"}}
	if !whole {
		config.Env = stockEnvoyEnv
	}
	return oci.Image{
		References: istioReference("pilot", version),
		Layers: [][]oci.Entry{oci.Scratch("istio-proxy", oci.IstioUser), {
			oci.Program("usr/local/bin/pilot-discovery", p.tool("istio", version.Revision(), "pilot-discovery")),
		}},
		Config: config,
	}, nil
}

// proxy returns the image of sidecars, gateways and istio-init: pilot-agent,
// Envoy, and the iptables that pilot-agent calls.
func (p project) proxy(version istioversion.Version) (oci.Image, error) {
	floor, err := debian(p.tool("debian", "rootfs.tar"))
	if err != nil {
		return oci.Image{}, err
	}
	const binaries = "usr/local/bin"
	built := func(file string) string { return p.tool("istio", version.Revision(), file) }
	template := "envoy_bootstrap_tmpl.json"
	return oci.Image{
		References: istioReference("proxyv2", version),
		Layers: [][]oci.Entry{
			append(floor, oci.Scratch("istio-proxy", oci.IstioUser)...),
			{oci.Program(path.Join(binaries, "envoy"), p.envoyOf(version.Revision()))},
			{
				oci.Program(path.Join(binaries, "pilot-agent"), built("pilot-agent")),
				{Path: path.Join("var/lib/istio/envoy", template), Mode: 0o644, From: built(template)},
			},
		},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.IstioUser), Entrypoint: []string{"/" + path.Join(binaries, "pilot-agent")},
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	}, nil
}
