// Command images builds the images that the lab runs into an OCI layout, from
// programs that `make build tools` has left, without a daemon or a Dockerfile:
//
//	go run ./tools/images [--root DIR] [--out DIR] [--envoy FILE]
//
// OUT/index.json lists them (annotation org.opencontainers.image.ref.Name: the
// full reference, where an image has one), and OUT/images_digests.json has the
// digest of every image of the module by its name in camelCase, in the form of
// Deckhouse's modules. The same inputs give the same digests. An image whose
// inputs have not changed since the last run is not built again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	root := flags.String("root", ".", "`folder` of the project")
	out := flags.String("out", filepath.Join(".cache", "images"), "`folder` of the OCI layout")
	envoy := flags.String("envoy", "", "Envoy's `program` for the proxies of all revisions (default a stock one of each revision's age)")
	var s stamp
	flags.StringVar(&s.version, "version", "", "`version` of the project, like v1.2.3")
	flags.StringVar(&s.revision, "revision", "", "`commit` of the project's source")
	publishTo := flags.String("publish", "", "`folder` to lay our images out in for all platforms, as they are published, instead of building those of the lab")
	repository := flags.String("repository", "ghcr.io/deckhouse-mesh/istio", "`repository` that --publish makes images for")
	push := flags.Bool("push", false, "push them there")
	mirrored := flags.String("mirrored", filepath.Join(".cache", "mirror", oci.DigestsFile), "`file` of `make images-mirror` with the digests of others' images")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := project{root: *root, envoy: *envoy, stamp: s}
	if *publishTo != "" {
		return publication{
			project: p, built: *out, out: *publishTo, repository: strings.TrimSuffix(*repository, "/"), push: *push, mirrored: *mirrored,
			compile: programs.Build,
		}.publish(context.Background(), log)
	}
	begun := time.Now()
	store, err := oci.Open(*out)
	if err != nil {
		return err
	}
	if err := buildAll(store, p, log); err != nil {
		return err
	}
	listed, built := store.Counts()
	_, err = fmt.Fprintf(log, "images: %d images, %d of them built now, in %.1f s: %s\n", listed, built, time.Since(begun).Seconds(), *out)
	return err
}

// buildAll builds the module's images, the operator's, which has the digests of
// those in it, and those of the lab's clusters.
func buildAll(store *oci.Store, p project, log io.Writer) error {
	ofModule, err := p.moduleImages(log)
	if err != nil {
		return err
	}
	digests := map[string]v1.Hash{}
	for _, image := range ofModule {
		if digests[image.Name], err = store.Add(image, log); err != nil {
			return err
		}
	}
	encoded, err := json.MarshalIndent(digests, "", "  ")
	if err != nil {
		return err
	}
	operator, err := p.operatorImage(encoded, true)
	if err != nil {
		return err
	}
	ofClusters, err := p.clusterImages()
	if err != nil {
		return err
	}
	for _, image := range append(ofClusters, operator) {
		if _, err := store.Add(image, log); err != nil {
			return err
		}
	}
	if err := store.Close(); err != nil {
		return err
	}
	return store.WriteFile(oci.DigestsFile, append(encoded, '\n'))
}
