package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Publication is an OCI layout of images for several platforms with what is
// attached to them, as they are pushed to a registry.
type Publication struct {
	layout layout.Path
	// added are what Push pushes, each image before what is attached to it.
	added []added
}

type added struct {
	reference string
	what      remote.Taggable
}

// Attach returns what belongs to one of an image's platforms.
type Attach func(image Image, manifest v1.Descriptor) ([]v1.Image, error)

// NewPublication begins one in the folder, in place of what was there.
func NewPublication(dir string) (*Publication, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("prepare the folder of images to publish: %w", err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return nil, fmt.Errorf("prepare the folder of images to publish: %w", err)
	}
	return &Publication{layout: path}, nil
}

// Add an image, one for each platform, under the references of the first, and
// return the digest that names it for all platforms.
func (p *Publication) Add(platforms []Image, attach Attach) (v1.Hash, error) {
	blobs := filepath.Join(string(p.layout), "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return v1.Hash{}, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var attached []v1.Image
	for _, image := range platforms {
		built, err := image.build(blobs)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("build image %s for %s: %w", image.Name, image.architecture(), err)
		}
		manifest, err := partial.Descriptor(built)
		if err != nil {
			return v1.Hash{}, err
		}
		if whole, err := built.Manifest(); err != nil {
			return v1.Hash{}, err
		} else if err := CheckSize(image.Name, whole); err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: built, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: image.architecture()},
		}})
		more, err := attach(image, *manifest)
		if err != nil {
			return v1.Hash{}, err
		}
		attached = append(attached, more...)
	}
	for _, reference := range platforms[0].References {
		if err := p.layout.AppendIndex(index, layout.WithAnnotations(map[string]string{ReferenceAnnotation: reference})); err != nil {
			return v1.Hash{}, fmt.Errorf("write image %s: %w", reference, err)
		}
		p.added = append(p.added, added{reference, index})
	}
	repository, err := repositoryOf(platforms[0])
	if err != nil {
		return v1.Hash{}, err
	}
	for _, artifact := range attached {
		digest, err := artifact.Digest()
		if err != nil {
			return v1.Hash{}, err
		}
		if err := p.layout.AppendImage(artifact); err != nil {
			return v1.Hash{}, fmt.Errorf("write what belongs to image %s: %w", platforms[0].Name, err)
		}
		p.added = append(p.added, added{repository + "@" + digest.String(), artifact})
	}
	return index.Digest()
}

// repositoryOf the image, which has one: all its references are in it. Clients look there for what is attached to it.
func repositoryOf(image Image) (string, error) {
	if len(image.References) == 0 {
		return "", fmt.Errorf("publish image %s: it has no reference", image.Name)
	}
	reference, err := name.ParseReference(image.References[0])
	if err != nil {
		return "", fmt.Errorf("publish image %s: %w", image.Name, err)
	}
	return reference.Context().Name(), nil
}

// Push all of it into the repositories that the references are in: images first, then what is attached to them.
func (p *Publication) Push(ctx context.Context) error {
	for _, each := range p.added {
		if err := Push(ctx, each.reference, each.what); err != nil {
			return err
		}
	}
	return nil
}

// Push an image, or an index with all that it lists, to the reference.
func Push(ctx context.Context, to string, what remote.Taggable) error {
	reference, err := name.ParseReference(to)
	if err == nil {
		err = remote.Push(reference, what, Access(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", to, err)
	}
	return nil
}

// Access is how registries are asked: with the credentials of `docker login`.
func Access(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// FindBuilt returns an image of a store's layout by its digest.
func FindBuilt(dir string, digest v1.Hash) (v1.Image, error) {
	path, err := layout.FromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there are no images in %s: run `make images`", dir)
	}
	if err != nil {
		return nil, err
	}
	return path.Image(digest)
}
