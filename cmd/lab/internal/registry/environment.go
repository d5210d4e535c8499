package registry

import (
	"encoding/json"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Environment is what the image of a reference in an OCI layout sets for its programs.
func Environment(layout, reference string) ([]string, error) {
	in := folder(layout)
	index, err := in.index()
	if err != nil {
		return nil, err
	}
	for _, descriptor := range index.Manifests {
		if descriptor.Annotations[ReferenceAnnotation] != reference {
			continue
		}
		var manifest v1.Manifest
		if err := in.read(descriptor.Digest, &manifest); err != nil {
			return nil, fmt.Errorf("read the image %s: %w", reference, err)
		}
		var config v1.ConfigFile
		if err := in.read(manifest.Config.Digest, &config); err != nil {
			return nil, fmt.Errorf("read the image %s: %w", reference, err)
		}
		return config.Config.Env, nil
	}
	return nil, fmt.Errorf("there is no image %s in %s", reference, layout)
}

// read a blob that is JSON.
func (f folder) read(digest v1.Hash, into any) error {
	raw, err := os.ReadFile(f.blob(digest))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
