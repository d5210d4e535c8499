package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Reference returns the full form of an image's reference, as containerd asks
// for it: docker.io/library/traefik:v3 of traefik:v3.
func Reference(short string) (string, error) {
	tag, err := name.NewTag(short)
	if err != nil {
		return "", fmt.Errorf("%w: give a reference with a tag, such as docker.io/me/app:1", err)
	}
	// What the library calls Docker's registry, containerd does not.
	return strings.Replace(tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1), nil
}

// Load puts the image of a file into the OCI layout folder, which is made when
// it is missing, under the reference; an image that has it already is replaced.
// The file is what `docker save`, `podman save` or `crane pull` writes (one
// image in it), or an OCI layout as a tarball or a folder. It returns the full
// reference and the image's digest.
func Load(dir, reference, file string) (string, v1.Hash, error) {
	full, err := Reference(reference)
	if err != nil {
		return "", v1.Hash{}, err
	}
	digest, err := load(dir, full, file)
	if err != nil {
		return "", v1.Hash{}, fmt.Errorf("load %s as image %s: %w", file, full, err)
	}
	return full, digest, nil
}

func load(dir, reference, file string) (v1.Hash, error) {
	image, done, err := open(file)
	if err != nil {
		return v1.Hash{}, err
	}
	defer done()
	digest, err := image.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	images, err := layout.FromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		images, err = layout.Write(dir, empty.Index)
	}
	if err != nil {
		return v1.Hash{}, err
	}
	if err := images.WriteImage(image); err != nil {
		return v1.Hash{}, err
	}
	descriptor, err := partial.Descriptor(image)
	if err != nil {
		return v1.Hash{}, err
	}
	descriptor.Annotations = map[string]string{ReferenceAnnotation: reference}
	return digest, folder(dir).replace(*descriptor)
}

// open returns the image of a file or folder, and what to call when it has been read.
func open(file string) (v1.Image, func(), error) {
	nothing := func() {}
	info, err := os.Stat(file)
	if err != nil {
		return nil, nothing, err
	}
	if info.IsDir() {
		image, err := fromLayout(file)
		return image, nothing, err
	}
	docker, err := contains(file, "manifest.json")
	if err != nil {
		return nil, nothing, fmt.Errorf("it is no tarball: %w", err)
	}
	if docker {
		image, err := tarball.ImageFromPath(file, nil)
		return image, nothing, err
	}
	dir, err := os.MkdirTemp("", "lab-image-")
	if err != nil {
		return nil, nothing, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	if err := extract(file, dir); err != nil {
		remove()
		return nil, nothing, err
	}
	image, err := fromLayout(dir)
	if err != nil {
		remove()
		return nil, nothing, err
	}
	return image, remove, nil
}

// fromLayout returns the only image of an OCI layout that runs on this machine.
func fromLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("it is no image: neither manifest.json nor a complete OCI layout is in it (%w)", err)
	}
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	images, err := partial.FindImages(index, func(descriptor v1.Descriptor) bool {
		return descriptor.Platform == nil || descriptor.Platform.Satisfies(platform)
	})
	if err == nil && len(images) == 0 {
		images, err = imagesOfIndexes(index, platform)
	}
	if err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("it has %d images for linux/%s: save exactly one", len(images), runtime.GOARCH)
	}
	return images[0], nil
}

// imagesOfIndexes looks one level deeper: an image for several platforms is an index in the layout's index.
func imagesOfIndexes(index v1.ImageIndex, platform v1.Platform) ([]v1.Image, error) {
	indexes, err := partial.FindIndexes(index, func(v1.Descriptor) bool { return true })
	if err != nil {
		return nil, err
	}
	var images []v1.Image
	for _, inner := range indexes {
		found, err := partial.FindImages(inner, match.Platforms(platform))
		if err != nil {
			return nil, err
		}
		images = append(images, found...)
	}
	return images, nil
}

// contains is true when the tarball has an entry of that name.
func contains(file, wanted string) (bool, error) {
	found := false
	err := entries(file, func(header *tar.Header, _ io.Reader) error {
		found = found || filepath.Clean(header.Name) == wanted
		return nil
	})
	return found, err
}

// extract unpacks the folders and files of a tarball into dir, and nothing outside of it.
func extract(file, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return entries(file, func(header *tar.Header, content io.Reader) error {
		path := filepath.Clean(header.Name)
		if header.Typeflag == tar.TypeDir {
			return root.MkdirAll(path, 0o755)
		}
		if header.Typeflag != tar.TypeReg {
			return nil
		}
		if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		unpacked, err := root.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(unpacked, content)
		return errors.Join(err, unpacked.Close())
	})
}

func entries(file string, each func(*tar.Header, io.Reader) error) error {
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	reader := tar.NewReader(opened)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(header, reader); err != nil {
			return err
		}
	}
}
