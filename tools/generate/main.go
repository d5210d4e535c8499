// Command generate takes the files of other projects that the module needs
// from the Go modules they are published in, and puts them into git-ignored
// folders:
//
//	charts/deckhouse_lib_helm     Deckhouse's library chart for templates/
//	crds/istio                    Istio's CRDs, installed by the module
//	.cache/crds                   the ModuleConfig CRD, for cmd/operator outside Deckhouse
//
// Versions are those of go.mod and of tools/istio-v1x29/go.mod; both have a
// go.sum beside them, so what arrives is what was committed. Only the go
// command fetches; with its module cache filled nothing touches the network.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// sources lists every file or folder taken, in the order it is reported.
var sources = []source{
	{
		module: "github.com/deckhouse/deckhouse",
		from:   "helm_lib/charts/deckhouse_lib_helm",
		to:     "charts/deckhouse_lib_helm",
	},
	{
		module: "github.com/deckhouse/deckhouse",
		from:   "deckhouse-controller/crds/module-config.yaml",
		to:     ".cache/crds/module-config.yaml",
	},
	{
		module:   "istio.io/istio",
		pinnedIn: "tools/istio-v1x29",
		from:     "manifests/charts/base/files/crd-all.gen.yaml",
		to:       "crds/istio/crd-all.gen.yaml",
	},
}

func main() {
	root := flag.String("root", ".", "the project's root folder")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Puts files of other projects into git-ignored folders of this one.")
		flag.PrintDefaults()
	}
	flag.Parse()

	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	if _, err := os.Stat(filepath.Join(root, "module.yaml")); err != nil {
		return fmt.Errorf("%s is not the project's root folder; name it with --root: %w", root, err)
	}
	modules := moduleDirs{}
	for _, s := range sources {
		dir, err := modules.find(filepath.Join(root, s.pinnedIn), s.module)
		if err != nil {
			return err
		}
		changed, err := mirror(filepath.Join(dir, s.from), filepath.Join(root, s.to))
		if err != nil {
			return fmt.Errorf("copy %s of %s to %s: %w", s.from, s.module, s.to, err)
		}
		if changed > 0 {
			fmt.Printf("%s: %d file(s) from %s\n", s.to, changed, s.module)
		}
	}
	return nil
}
