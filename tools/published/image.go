package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/deckhouse-mesh/istio/tools/programs"
)

// checker asks one repository, and those below it.
type checker struct {
	// repository of the images that the module asks for by digest.
	repository string
	// limit of an image's size, compressed, in bytes.
	limit int64
}

// platform is what a registry has of an image for one platform.
type platform struct {
	name, digest string
	// size of all layers, compressed, in bytes.
	size int64
	// programs that are in it, packages that its SBOM lists.
	programs, packages int
}

// image checks that the registry has the image as it was laid out, for both platforms.
func (c checker) image(ctx context.Context, image pushed) ([]platform, error) {
	repository, err := open(image.reference.Context())
	if err != nil {
		return nil, err
	}
	found, err := repository.Resolve(ctx, image.reference.Identifier())
	if err != nil {
		return nil, fmt.Errorf("ask the registry: %w", err)
	}
	if found.Digest.String() != image.digest.String() {
		return nil, fmt.Errorf("the registry has %s, and %s was laid out: something else was pushed since", found.Digest, image.digest)
	}
	var index ocispec.Index
	if err := fetch(ctx, repository, found, &index); err != nil {
		return nil, err
	}
	var all []platform
	var architectures []string
	var failed []error
	for _, listed := range index.Manifests {
		if listed.Platform == nil {
			failed = append(failed, fmt.Errorf("%s is for no platform", listed.Digest))
			continue
		}
		named := listed.Platform.OS + "/" + listed.Platform.Architecture
		if listed.Platform.OS == "linux" {
			architectures = append(architectures, listed.Platform.Architecture)
		}
		checked, err := c.platform(ctx, repository, image, listed)
		if err != nil {
			failed = append(failed, fmt.Errorf("for %s: %w", named, err))
		}
		checked.name = named
		all = append(all, checked)
	}
	if slices.Sort(architectures); !slices.Equal(architectures, programs.Architectures) {
		failed = append(failed, fmt.Errorf("it is for linux on %q, not on %q", architectures, programs.Architectures))
	}
	return all, errors.Join(failed...)
}

// platform reads all of an image for one platform.
func (c checker) platform(ctx context.Context, repository *remote.Repository, image pushed, listed ocispec.Descriptor) (platform, error) {
	checked := platform{digest: listed.Digest.String()}
	var manifest ocispec.Manifest
	var config ocispec.Image
	if err := fetch(ctx, repository, listed, &manifest); err != nil {
		return checked, err
	}
	if err := fetch(ctx, repository, manifest.Config, &config); err != nil {
		return checked, err
	}
	files, err := readLayers(ctx, repository, manifest, config)
	if err != nil {
		return checked, err
	}
	for _, layer := range manifest.Layers {
		checked.size += layer.Size
	}
	var failed []error
	if checked.size > c.limit {
		failed = append(failed, fmt.Errorf("it has %d bytes, compressed, and may have %d", checked.size, c.limit))
	}
	failed = append(failed, configuration(image, listed, config), c.haveAll(ctx, files.digests))
	checked.programs = len(files.programs)
	for program, machine := range files.programs {
		if machine != listed.Platform.Architecture {
			failed = append(failed, fmt.Errorf("%s is a program for %s", program, machine))
		}
	}
	attached, err := readAttached(ctx, repository, listed)
	failed = append(failed, err)
	if err == nil {
		checked.packages = len(attached.sbom.Packages)
		failed = append(failed, attached.describe(listed, config.Config.Labels[ocispec.AnnotationRevision], checked.programs > 0))
	}
	return checked, errors.Join(failed...)
}

var (
	// notRoot is a user and a group by number: Kubernetes cannot tell by a name whether it is root.
	notRoot = regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`)
	commit  = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// configuration checks how the image is run and what it says of itself.
func configuration(image pushed, listed ocispec.Descriptor, config ocispec.Image) error {
	var failed []error
	if config.OS != listed.Platform.OS || config.Architecture != listed.Platform.Architecture {
		failed = append(failed, fmt.Errorf("its configuration is for %s/%s", config.OS, config.Architecture))
	}
	if image.runs && !notRoot.MatchString(config.Config.User) {
		failed = append(failed, fmt.Errorf("its user is %q, not one by number that is not root", config.Config.User))
	}
	if image.runs != (len(config.Config.Entrypoint) > 0) {
		failed = append(failed, fmt.Errorf("it starts %q", config.Config.Entrypoint))
	}
	version := config.Config.Labels[ocispec.AnnotationVersion]
	if version == "" || !strings.HasPrefix(image.reference.Identifier(), version) {
		failed = append(failed, fmt.Errorf("its label %s is %q, which its tag does not begin with", ocispec.AnnotationVersion, version))
	}
	if revision := config.Config.Labels[ocispec.AnnotationRevision]; !commit.MatchString(revision) {
		failed = append(failed, fmt.Errorf("its label %s is %q, not a commit", ocispec.AnnotationRevision, revision))
	}
	return errors.Join(failed...)
}

// haveAll checks that the repository has every image that the module asks for.
func (c checker) haveAll(ctx context.Context, digests map[string]string) error {
	if len(digests) == 0 {
		return nil
	}
	parsed, err := name.NewRepository(c.repository)
	if err != nil {
		return err
	}
	repository, err := open(parsed)
	if err != nil {
		return err
	}
	var failed []error
	for image, digest := range digests {
		if _, err := repository.Resolve(ctx, digest); err != nil {
			failed = append(failed, fmt.Errorf("the module asks for %s by its digest: %w", image, err))
		}
	}
	return errors.Join(failed...)
}

// fetch a document, whose digest is compared.
func fetch(ctx context.Context, repository *remote.Repository, of ocispec.Descriptor, into any) error {
	raw, err := content.FetchAll(ctx, repository, of)
	if err != nil {
		return fmt.Errorf("read %s: %w", of.Digest, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w", of.Digest, err)
	}
	return nil
}
