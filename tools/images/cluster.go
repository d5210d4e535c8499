package main

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// clusterImages returns what the lab's clusters run besides the module, by the
// references that such clusters have everywhere.
func (p project) clusterImages() ([]image, error) {
	coredns, err := p.version("coredns", "github.com/coredns/coredns")
	if err != nil {
		return nil, fmt.Errorf("image of CoreDNS: %w", err)
	}
	traefik, err := p.version("traefik", "github.com/traefik/traefik/v3")
	if err != nil {
		return nil, fmt.Errorf("image of Traefik: %w", err)
	}
	return append([]image{
		{
			name:       "pause",
			references: []string{"registry.k8s.io/pause:3.10"},
			layers:     [][]entry{{program("pause", p.tool("pause", "pause"))}},
			config:     v1.Config{User: "65535:65535", Entrypoint: []string{"/pause"}},
		},
		{
			name:       "coredns",
			references: []string{"registry.k8s.io/coredns/coredns:" + coredns},
			layers:     [][]entry{{text(rootsFile, publicRoots())}, {program("coredns", p.tool("coredns", "coredns"))}},
			config:     v1.Config{Entrypoint: []string{"/coredns"}, WorkingDir: "/"},
		},
		{
			name:       "traefik",
			references: []string{"docker.io/library/traefik:" + traefik},
			layers: [][]entry{{text(rootsFile, publicRoots())}, {
				program("usr/local/bin/traefik", p.tool("traefik", "traefik")),
			}},
			config: v1.Config{Entrypoint: []string{"/usr/local/bin/traefik"}},
		},
		p.echo(istioversion.Default()),
		p.probe(),
	}, slices.Concat(p.suiteImages(istioversion.Default()), p.benchImages())...), nil
}

// probe returns the image of what asks from inside Pods (cmd/lab/probe). Its
// user is one whose traffic a sidecar intercepts.
func (p project) probe() image {
	return image{
		name:       "probe",
		references: []string{"lab.local/probe:1"},
		layers:     [][]entry{scratch("deckhouse", deckhouseUser), {program("usr/local/bin/probe", p.bin("probe"))}},
		config: v1.Config{
			User: userAndGroup(deckhouseUser), Entrypoint: []string{"/usr/local/bin/probe"}, Cmd: []string{"wait"},
			Env: []string{"PATH=/usr/local/bin"},
		},
	}
}

// echo returns the image of Istio's own test server and client, made as Istio
// makes it: with the certificate that its tests expect.
func (p project) echo(version istioversion.Version) image {
	built := func(file string) string { return p.tool("istio", version.Revision(), "echo", file) }
	return image{
		name:       "echo",
		references: append([]string{"lab.local/echo:1", gatewayAPIEcho}, istioReference("app", version)...),
		layers: [][]entry{scratch("application", echoUser), {
			program("usr/local/bin/server", built("server")),
			program("usr/local/bin/client", built("client")),
			{path: "cert.crt", mode: 0o644, from: built("cert.crt")},
			{path: "cert.key", mode: 0o644, from: built("cert.key")},
		}},
		config: v1.Config{
			User: userAndGroup(echoUser), Entrypoint: []string{"/usr/local/bin/server"},
			Env: []string{"PATH=/usr/local/bin"},
		},
	}
}
