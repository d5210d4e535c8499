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
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// sources lists the files and folders taken from others than Istio, in the order they are reported.
var sources = []source{
	{
		module: "github.com/deckhouse/deckhouse",
		from:   "helm_lib/charts/deckhouse_lib_helm",
		to:     "charts/deckhouse_lib_helm",
	},
	{
		module: "github.com/deckhouse/deckhouse",
		from:   "deckhouse-controller/crds/module-config.yaml",
		to:     "crds/operator/module-config.yaml",
	},
	{
		module:   "sigs.k8s.io/gateway-api",
		pinnedIn: "tools/istio-" + istioversion.All()[0].Revision(),
		from:     "config/crd/standard",
		to:       ".cache/gateway-api",
	},
}

// istioSources are the files of Istio, in every version of the table; its CRDs
// serve older versions as well and come from the newest.
func istioSources() []source {
	const istiodChart = "manifests/charts/istio-control/istio-discovery"
	pin := func(v istioversion.Version, from, to, skip string) source {
		return source{module: "istio.io/istio", pinnedIn: "tools/istio-" + v.Revision(), from: from, to: to, skip: skip}
	}
	all := []source{pin(istioversion.All()[0], "manifests/charts/base/files/crd-all.gen.yaml", "crds/istio/crd-all.gen.yaml", "")}
	for _, v := range istioversion.All() {
		files, chart := "files/istio/"+v.Revision(), ".cache/istio/"+v.Revision()
		all = append(all,
			pin(v, istiodChart+"/files", files+"/templates", "profile-*"),
			pin(v, istiodChart+"/values.yaml", files+"/values.yaml", ""),
			pin(v, istiodChart, chart+"/istio-discovery", ""),
			pin(v, "VERSION", chart+"/VERSION", ""),
		)
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
	modules := moduleDirs{}
	for _, s := range slices.Concat(sources, istioSources()) {
		dir, err := modules.find(filepath.Join(root, s.pinnedIn), s.module)
		if err != nil {
			return err
		}
		changed, err := mirror(filepath.Join(dir, s.from), filepath.Join(root, s.to), s.skip)
		if err != nil {
			return fmt.Errorf("copy %s of %s to %s: %w", s.from, s.module, s.to, err)
		}
		if changed > 0 {
			fmt.Printf("%s: %d file(s) from %s\n", s.to, changed, s.module)
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
