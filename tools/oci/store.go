package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// ReferenceAnnotation has an image's full reference in the index.
	ReferenceAnnotation = "org.opencontainers.image.ref.name"
	// keysFile remembers what each image was built of.
	keysFile = "keys.json"
	// retention is how long blobs of former images stay: a lab that runs may still pull them.
	retention = 24 * time.Hour
)

// known is an image that an earlier run has built.
type known struct {
	Key      string        `json:"key"`
	Manifest v1.Descriptor `json:"manifest"`
}

// memory is what one run leaves to the next.
type memory struct {
	Images map[string]known   `json:"images"`
	Files  map[string]fileSum `json:"files"`
}

// Store is an OCI layout folder that images are built into.
type Store struct {
	dir    string
	before map[string]known
	files  sums
	// images of this run by their names, and the index that lists them.
	images map[string]known
	index  v1.IndexManifest
	// built is how many of them this run had to build.
	built int
}

// Open the layout in the folder, or begin one.
func Open(dir string) (*Store, error) {
	s := &Store{
		dir: dir, images: map[string]known{}, files: sums{now: map[string]fileSum{}},
		index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex},
	}
	if err := os.MkdirAll(s.blobs(), 0o755); err != nil {
		return nil, fmt.Errorf("prepare the images' folder: %w", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err == nil {
		var last memory
		// What cannot be read is as if it were not there: everything is built again.
		if json.Unmarshal(raw, &last) == nil {
			s.before, s.files.before = last.Images, last.Files
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what images were built of: %w", err)
	}
	return s, nil
}

func (s *Store) blobs() string { return filepath.Join(s.dir, "blobs", "sha256") }

// Add builds the image unless it is there, and lists it.
func (s *Store) Add(i Image, log io.Writer) (v1.Hash, error) {
	key, err := i.key(s.files)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("build image %s: %w", i.Name, err)
	}
	current := s.before[i.Name]
	if current.Key != key || !s.whole(current.Manifest) {
		begun := time.Now()
		if current.Manifest, err = s.build(i); err != nil {
			return v1.Hash{}, fmt.Errorf("build image %s: %w", i.Name, err)
		}
		current.Key = key
		s.built++
		_, _ = fmt.Fprintf(log, "images: built %s in %.1f s\n", i.Name, time.Since(begun).Seconds())
	}
	s.images[i.Name] = current
	s.list(i, current.Manifest)
	return current.Manifest.Digest, nil
}

// Counts returns how many images are listed, and how many of them this run had to build.
func (s *Store) Counts() (listed, built int) { return len(s.images), s.built }

func (s *Store) build(i Image) (v1.Descriptor, error) {
	built, err := i.build(s.blobs())
	if err != nil {
		return v1.Descriptor{}, err
	}
	if err := layout.Path(s.dir).WriteImage(built); err != nil {
		return v1.Descriptor{}, err
	}
	descriptor, err := partial.Descriptor(built)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return *descriptor, nil
}

// list puts the image into the index once for each reference, or once without any.
func (s *Store) list(i Image, manifest v1.Descriptor) {
	for _, reference := range i.References {
		tagged := manifest
		tagged.Annotations = map[string]string{ReferenceAnnotation: reference}
		s.index.Manifests = append(s.index.Manifests, tagged)
	}
	if len(i.References) == 0 {
		s.index.Manifests = append(s.index.Manifests, manifest)
	}
}

// whole is true when the manifest and all blobs that it names are in the store.
func (s *Store) whole(manifest v1.Descriptor) bool {
	digests, err := s.blobsOf(manifest)
	if err != nil {
		return false
	}
	for _, digest := range digests {
		if _, err := os.Stat(filepath.Join(s.blobs(), digest.Hex)); err != nil {
			return false
		}
	}
	return true
}

// blobsOf returns the digests of a manifest and of everything that it names.
func (s *Store) blobsOf(descriptor v1.Descriptor) ([]v1.Hash, error) {
	raw, err := os.ReadFile(filepath.Join(s.blobs(), descriptor.Digest.Hex))
	if err != nil {
		return nil, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, err
	}
	digests := []v1.Hash{descriptor.Digest, manifest.Config.Digest}
	for _, layer := range manifest.Layers {
		digests = append(digests, layer.Digest)
	}
	return digests, nil
}

// Close writes the index and prunes the blobs of former images.
func (s *Store) Close() error {
	if err := s.writeJSON("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}); err != nil {
		return err
	}
	if err := s.writeJSON("index.json", s.index); err != nil {
		return err
	}
	if err := s.writeJSON(keysFile, memory{Images: s.images, Files: s.files.now}); err != nil {
		return err
	}
	return s.prune(time.Now())
}

func (s *Store) prune(now time.Time) error {
	used := map[string]bool{}
	for _, image := range s.images {
		digests, err := s.blobsOf(image.Manifest)
		if err != nil {
			return fmt.Errorf("prune images: %w", err)
		}
		for _, digest := range digests {
			used[digest.Hex] = true
		}
	}
	blobs, err := os.ReadDir(s.blobs())
	if err != nil {
		return fmt.Errorf("prune images: %w", err)
	}
	for _, blob := range blobs {
		if info, err := blob.Info(); err == nil && !used[blob.Name()] && now.Sub(info.ModTime()) > retention {
			if err := os.Remove(filepath.Join(s.blobs(), blob.Name())); err != nil {
				return fmt.Errorf("prune images: %w", err)
			}
		}
	}
	return nil
}

func (s *Store) writeJSON(name string, value any) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return s.WriteFile(name, append(encoded, '\n'))
}

// WriteFile replaces a file of the layout at once: a registry may be serving it.
func (s *Store) WriteFile(name string, content []byte) error {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".new", path)
}
