package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// pushed is an image as it was laid out to be pushed.
type pushed struct {
	reference name.Reference
	digest    v1.Hash
	// runs is false for an image whose files Deckhouse unpacks.
	runs bool
}

// laidOut returns the images for the repository from the layouts that `make images` and `make bundle` leave in the folder.
func laidOut(folder, repository string) ([]pushed, error) {
	bundles, err := filepath.Glob(filepath.Join(folder, "bundle*", "images"))
	if err != nil {
		return nil, err
	}
	ours := filepath.Join(folder, "images")
	var images []pushed
	for _, dir := range append([]string{ours}, bundles...) {
		listed, err := imagesIn(dir, repository)
		if err != nil {
			return nil, fmt.Errorf("list the images to publish in %s: %w: run `make images REGISTRY=%s`", dir, err, repository)
		}
		for _, image := range listed {
			image.runs = dir == ours
			images = append(images, image)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("nothing in %s was made for %s: run `make images REGISTRY=%s`", folder, repository, repository)
	}
	return images, nil
}

func imagesIn(dir, repository string) ([]pushed, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	listed, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var images []pushed
	for _, manifest := range listed.Manifests {
		written := manifest.Annotations[oci.ReferenceAnnotation]
		// The operator's and the release's repositories are below the module's.
		if !strings.HasPrefix(written, repository+":") && !strings.HasPrefix(written, repository+"/") {
			continue
		}
		reference, err := name.ParseReference(written)
		if err != nil {
			return nil, err
		}
		images = append(images, pushed{reference: reference, digest: manifest.Digest})
	}
	return images, nil
}
