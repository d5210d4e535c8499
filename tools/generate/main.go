// Command generate takes the files of other projects that the module needs
// from the Go modules they are published in, and puts them into git-ignored
// folders:
//
//	charts/deckhouse_lib_helm     Deckhouse's library chart for templates/
//	crds/istio                    Istio's CRDs, installed by the module: those of the newest version
//	files/istio/v1x31             each version's injection templates and the values they read, for templates/
//	.cache/istio/v1x31            each version's own chart of istiod and its VERSION, for the tests that compare with them
//	.cache/gateway-api            the CRDs of Gateway API, for the tests that check our routes by them
//	crds/operator                 the ModuleConfig CRD, for cmd/operator outside Deckhouse
//
// Versions are those of go.mod and of tools/istio-*/go.mod; all have a
// go.sum beside them, so what arrives is what was committed. Only the go
// command fetches; with its module cache filled nothing touches the network.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/gomodule"
)

// source is a Go module, and what is taken from it.
type source struct {
	module   string // path of the Go module
	pinnedIn string // folder of the go.mod that says which version; empty: the root one
	copies   []copied
}

// copied is a file or folder inside a Go module, and where a copy belongs.
type copied struct {
	from string // path inside the module
	to   string // path inside this project
	skip string // pattern of file names in a folder that are left out
}

// sources lists all modules, in the order they are reported. Every version of Istio in the table
// is one; the newest one's CRDs serve older versions as well.
func sources() []source {
	const istiodChart = "manifests/charts/istio-control/istio-discovery"
	newest := istioversion.All()[0].Revision()
	all := []source{
		{module: "github.com/deckhouse/deckhouse", copies: []copied{
			{from: "helm_lib/charts/deckhouse_lib_helm", to: "charts/deckhouse_lib_helm"},
			{from: "deckhouse-controller/crds/module-config.yaml", to: "crds/operator/module-config.yaml"},
		}},
		{module: "sigs.k8s.io/gateway-api", pinnedIn: "tools/istio-" + newest, copies: []copied{
			{from: "config/crd/standard", to: ".cache/gateway-api"},
		}},
	}
	for _, v := range istioversion.All() {
		files, chart := "files/istio/"+v.Revision(), ".cache/istio/"+v.Revision()
		istio := source{module: "istio.io/istio", pinnedIn: "tools/istio-" + v.Revision(), copies: []copied{
			{from: istiodChart + "/files", to: files + "/templates", skip: "profile-*"},
			{from: istiodChart + "/values.yaml", to: files + "/values.yaml"},
			{from: istiodChart, to: chart + "/istio-discovery"},
			{from: "VERSION", to: chart + "/VERSION"},
		}}
		if v.Revision() == newest {
			istio.copies = append(istio.copies, copied{from: "manifests/charts/base/files/crd-all.gen.yaml", to: "crds/istio/crd-all.gen.yaml"})
		}
		all = append(all, istio)
	}
	return all
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
	for _, s := range sources() {
		module, err := gomodule.Download(context.Background(), filepath.Join(root, s.pinnedIn), s.module)
		if err != nil {
			return err
		}
		for _, c := range s.copies {
			changed, err := mirror(filepath.Join(module.Dir, c.from), filepath.Join(root, c.to), c.skip)
			if err != nil {
				return fmt.Errorf("copy %s of %s to %s: %w", c.from, s.module, c.to, err)
			}
			if changed > 0 {
				fmt.Printf("%s: %d file(s) from %s\n", c.to, changed, s.module)
			}
		}
	}
	return dropStrangers(root)
}

// dropStrangers removes the files of versions that the table no longer has: files/ is part of the chart.
func dropStrangers(root string) error {
	for _, parent := range []string{"files/istio", ".cache/istio"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			return fmt.Errorf("look for files of removed versions: %w", err)
		}
		for _, entry := range entries {
			if _, known := istioversion.FindRevision(entry.Name()); known {
				continue
			}
			if err := os.RemoveAll(filepath.Join(root, parent, entry.Name())); err != nil {
				return fmt.Errorf("remove files of a removed version: %w", err)
			}
			fmt.Printf("%s/%s: removed, like the version\n", parent, entry.Name())
		}
	}
	return nil
}
