package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image is what an image is made of.
type image struct {
	// name of the image: in camelCase as the module asks for it, if it does.
	name string
	// references that Pods name the image by, complete with host and tag.
	references []string
	// layers from the floor up. What several images have in common is a layer of its own.
	layers [][]entry
	config v1.Config
}

// keyFormat changes the keys of all images when other code would build others of the same inputs.
const keyFormat = "2"

// key says whether the image needs to be built again: it changes with the
// image's configuration and with every file's path, mode and content.
func (i image) key(files sums) (string, error) {
	hash := sha256.New()
	config, err := json.Marshal(i.config)
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprintf(hash, "%s %s %s\n", keyFormat, runtime.GOARCH, config)
	for number, entries := range i.layers {
		all, err := complete(entries)
		if err != nil {
			return "", err
		}
		for _, e := range all {
			content := fmt.Sprintf("%x", sha256.Sum256(e.content))
			if e.from != "" {
				if content, err = files.of(e.from); err != nil {
					return "", err
				}
			}
			_, _ = fmt.Fprintf(hash, "%d %q %o %q %s\n", number, e.path, e.mode, e.target, content)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// build writes the image's layers into the folder of blobs and returns it.
func (i image) build(blobs string) (v1.Image, error) {
	built := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	built, err := mutate.ConfigFile(built, &v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux", Created: v1.Time{Time: epoch}, Config: i.config,
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	for _, entries := range i.layers {
		written, err := writeLayer(blobs, entries)
		if err != nil {
			return nil, err
		}
		built, err = mutate.Append(built, mutate.Addendum{Layer: written, MediaType: types.OCILayerZStd, History: v1.History{
			Created: v1.Time{Time: epoch}, CreatedBy: "tools/images", Comment: i.name,
		}})
		if err != nil {
			return nil, err
		}
	}
	return built, nil
}
