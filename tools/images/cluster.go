package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// clusterImages returns what the lab's clusters run besides the module, by the
// references that such clusters have everywhere.
func (p project) clusterImages() ([]oci.Image, error) {
	coredns, err := p.version("coredns", "github.com/coredns/coredns")
	if err != nil {
		return nil, fmt.Errorf("image of CoreDNS: %w", err)
	}
	traefik, err := p.version("traefik", "github.com/traefik/traefik/v3")
	if err != nil {
		return nil, fmt.Errorf("image of Traefik: %w", err)
	}
	return append([]oci.Image{
		{
			Name:       "pause",
			References: []string{"registry.k8s.io/pause:3.10"},
			Layers:     [][]oci.Entry{{oci.Program("pause", p.tool("pause", "pause"))}},
			Config:     v1.Config{User: "65535:65535", Entrypoint: []string{"/pause"}},
		},
		{
			Name:       "coredns",
			References: []string{"registry.k8s.io/coredns/coredns:" + coredns},
			Layers:     [][]oci.Entry{{oci.Text(oci.RootsFile, oci.PublicRoots())}, {oci.Program("coredns", p.tool("coredns", "coredns"))}},
			Config:     v1.Config{Entrypoint: []string{"/coredns"}, WorkingDir: "/"},
		},
		{
			Name:       "traefik",
			References: []string{"docker.io/library/traefik:" + traefik},
			Layers: [][]oci.Entry{{oci.Text(oci.RootsFile, oci.PublicRoots())}, {
				oci.Program("usr/local/bin/traefik", p.tool("traefik", "traefik")),
			}},
			Config: v1.Config{Entrypoint: []string{"/usr/local/bin/traefik"}},
		},
		p.echo(istioversion.Default()),
		p.probe(),
	}, p.optionalImages(istioversion.Default())...), nil
}

// probe returns the image of what asks from inside Pods (cmd/lab/probe). Its
// user is one whose traffic a sidecar intercepts.
func (p project) probe() oci.Image {
	return oci.Image{
		Name:       "probe",
		References: []string{"lab.local/probe:1"},
		Layers:     [][]oci.Entry{oci.Scratch("deckhouse", oci.DeckhouseUser), {oci.Program("usr/local/bin/probe", p.bin("probe"))}},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.DeckhouseUser), Entrypoint: []string{"/usr/local/bin/probe"}, Cmd: []string{"wait"},
			Env: []string{"PATH=/usr/local/bin"},
		},
	}
}

// echo returns the image of Istio's own test server and client, made as Istio
// makes it: with the certificate that its tests expect.
func (p project) echo(version istioversion.Version) oci.Image {
	built := func(file string) string { return p.tool("istio", version.Revision(), "echo", file) }
	return oci.Image{
		Name:       "echo",
		References: append([]string{"lab.local/echo:1", gatewayAPIEcho}, istioReference("app", version)...),
		Layers: [][]oci.Entry{oci.Scratch("application", oci.EchoUser), {
			oci.Program("usr/local/bin/server", built("server")),
			oci.Program("usr/local/bin/client", built("client")),
			{Path: "cert.crt", Mode: 0o644, From: built("cert.crt")},
			{Path: "cert.key", Mode: 0o644, From: built("cert.key")},
		}},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.EchoUser), Entrypoint: []string{"/usr/local/bin/server"},
			Env: []string{"PATH=/usr/local/bin"},
		},
	}
}
