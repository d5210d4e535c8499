package oci

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// MaxSize is what one of the project's own images may take, compressed: 45 MB.
const MaxSize = 45_000_000

// CheckSize returns an error for an image whose layers are larger.
func CheckSize(name string, manifest *v1.Manifest) error {
	var size int64
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	if size > MaxSize {
		return fmt.Errorf("image %s has %.1f MB, compressed, and may have %d: look for what its programs link", name, float64(size)/1e6, MaxSize/1_000_000)
	}
	return nil
}
