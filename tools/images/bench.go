package main

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// benchImages are what `make bench` puts a load on proxies with, when tools/fortio has built it.
func (p project) benchImages() []image {
	fortio := p.tool("fortio", "fortio")
	if _, err := os.Stat(fortio); err != nil {
		return nil
	}
	return []image{{
		name: "fortio", references: []string{"lab.local/fortio:1"},
		layers: [][]entry{scratch("application", echoUser), {program("usr/local/bin/fortio", fortio)}},
		config: v1.Config{
			User: userAndGroup(echoUser), Entrypoint: []string{"/usr/local/bin/fortio"}, Env: []string{"PATH=/usr/local/bin"},
		},
	}}
}
