package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ReferenceAnnotation has the full reference of an image in the index of a layout.
const ReferenceAnnotation = "org.opencontainers.image.ref.name"

// manifestLimit is more than a manifest has; other blobs are not read whole.
const manifestLimit = 4 << 20

// folder is an OCI layout: an index of manifests, and blobs by their digests.
type folder string

func (f folder) index() (v1.IndexManifest, error) {
	var index v1.IndexManifest
	raw, err := os.ReadFile(filepath.Join(string(f), "index.json"))
	if err != nil {
		return index, fmt.Errorf("read the images of %s: %w", f, err)
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, fmt.Errorf("read the images of %s: index.json: %w", f, err)
	}
	return index, nil
}

// replace puts the descriptor into the index, in place of any of the same reference.
func (f folder) replace(descriptor v1.Descriptor) error {
	index, err := f.index()
	if err != nil {
		return err
	}
	index.Manifests = append(slices.DeleteFunc(index.Manifests, func(old v1.Descriptor) bool {
		return old.Annotations[ReferenceAnnotation] == descriptor.Annotations[ReferenceAnnotation]
	}), descriptor)
	raw, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	// A registry that serves the folder never sees half an index.
	written := filepath.Join(string(f), "index.json.new")
	if err := os.WriteFile(written, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(written, filepath.Join(string(f), "index.json"))
}

// blob returns where a blob is. The digest has been checked: its parts are no paths.
func (f folder) blob(digest v1.Hash) string {
	return filepath.Join(string(f), "blobs", digest.Algorithm, digest.Hex)
}

// manifest returns the bytes of a manifest or index, and its media type.
func (r registry) manifest(digest v1.Hash) ([]byte, types.MediaType, error) {
	blob, err := r.open(digest)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = blob.Close() }()
	raw, err := io.ReadAll(io.LimitReader(blob, manifestLimit+1))
	if err != nil {
		return nil, "", fmt.Errorf("read the manifest %s: %w", digest, err)
	}
	if len(raw) > manifestLimit {
		return nil, "", fmt.Errorf("read the manifest %s: it is larger than any manifest", digest)
	}
	var manifest struct {
		MediaType types.MediaType `json:"mediaType"`
		Config    v1.Descriptor   `json:"config"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, "", fmt.Errorf("read the manifest %s: %w", digest, err)
	}
	switch {
	case manifest.MediaType != "":
		return raw, manifest.MediaType, nil
	// OCI allows both to be without. (A config has a key "config", too, but no digest in it.)
	case manifest.Config.Digest.Hex != "":
		return raw, types.OCIManifestSchema1, nil
	case manifest.Manifests != nil:
		return raw, types.OCIImageIndex, nil
	}
	return nil, "", fmt.Errorf("read the manifest %s: the blob of this digest is no manifest", digest)
}
