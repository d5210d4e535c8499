package main

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// observabilityImages are those that `make observability` runs, when it has built their programs.
func (p project) observabilityImages() []oci.Image {
	var images []oci.Image
	for _, name := range []string{"jaeger", "prometheus"} {
		if _, err := os.Stat(p.tool(name)); err != nil {
			continue
		}
		binary := "usr/local/bin/" + name
		images = append(images, oci.Image{
			Name: name, References: []string{"lab.local/" + name + ":1"},
			Layers: [][]oci.Entry{oci.Scratch("application", oci.EchoUser), {oci.Program(binary, p.tool(name, name))}},
			Config: v1.Config{User: oci.UserAndGroup(oci.EchoUser), Entrypoint: []string{"/" + binary}},
		})
	}
	return images
}
