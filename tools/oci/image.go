package oci

import (
	"cmp"
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

// Image is what an image is made of.
type Image struct {
	// Name of the image: in camelCase as the module asks for it, if it does.
	Name string
	// References that Pods name the image by, complete with host and tag.
	References []string
	// Layers from the floor up. What several images have in common is a layer of its own.
	Layers [][]Entry
	Config v1.Config
	// Architecture in Go's words; empty: this machine's.
	Architecture string
	// Gzip compresses layers with gzip, for readers that know nothing newer.
	Gzip bool
}

func (i Image) architecture() string { return cmp.Or(i.Architecture, runtime.GOARCH) }

// keyFormat changes the keys of all images when other code would build others of the same inputs.
const keyFormat = "2"

// key says whether the image needs to be built again: it changes with the
// image's configuration and with every file's path, mode and content.
func (i Image) key(files sums) (string, error) {
	hash := sha256.New()
	config, err := json.Marshal(i.Config)
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprintf(hash, "%s %s %t %s\n", keyFormat, i.architecture(), i.Gzip, config)
	for number, entries := range i.Layers {
		all, err := complete(entries)
		if err != nil {
			return "", err
		}
		for _, e := range all {
			content := fmt.Sprintf("%x", sha256.Sum256(e.Content))
			if e.From != "" {
				if content, err = files.of(e.From); err != nil {
					return "", err
				}
			}
			_, _ = fmt.Fprintf(hash, "%d %q %o %q %s\n", number, e.Path, e.Mode, e.Target, content)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// build writes the image's layers into the folder of blobs and returns it.
func (i Image) build(blobs string) (v1.Image, error) {
	built := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	built, err := mutate.ConfigFile(built, &v1.ConfigFile{
		Architecture: i.architecture(), OS: "linux", Created: v1.Time{Time: Epoch}, Config: i.Config,
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	for _, entries := range i.Layers {
		layer, err := writeLayer(blobs, entries, i.Gzip)
		if err != nil {
			return nil, err
		}
		built, err = mutate.Append(built, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: Epoch}, CreatedBy: "tools/images", Comment: i.Name,
		}})
		if err != nil {
			return nil, err
		}
	}
	return built, nil
}
