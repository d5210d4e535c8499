package main

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// benchImages are what `make bench` puts a load on proxies with, when tools/fortio has built it.
func (p project) benchImages() []oci.Image {
	fortio := p.tool("fortio", "fortio")
	if _, err := os.Stat(fortio); err != nil {
		return nil
	}
	return []oci.Image{{
		Name: "fortio", References: []string{"lab.local/fortio:1"},
		Layers: [][]oci.Entry{oci.Scratch("application", oci.EchoUser), {oci.Program("usr/local/bin/fortio", fortio)}},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.EchoUser), Entrypoint: []string{"/usr/local/bin/fortio"}, Env: []string{"PATH=/usr/local/bin"},
		},
	}}
}
