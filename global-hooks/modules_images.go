package globalhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// modulesImages publishes where the module's images are: their repository, and
// the digests in digestsFile, read once at the start. Its keys are the images'
// names in camelCase, as in the images_digests.json of Deckhouse's modules.
func modulesImages(registry, digestsFile string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "modules_images",
		Config: pkg.HookConfig{OnStartup: &pkg.OrderedConfig{Order: 1}},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			digests, err := readDigests(digestsFile)
			if err != nil {
				return err
			}
			set(in, "global.modulesImages.registry.base", registry)
			set(in, "global.modulesImages.digests", map[string]map[string]string{names.ValuesKey(): digests})
			return nil
		},
	}
}

// readDigests returns the digests of the module's images by their names.
func readDigests(file string) (map[string]string, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the digests of the module's images: there is no %s: name the file with --images-digests; in a source tree `make images` makes one", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the digests of the module's images: %w", err)
	}
	digests := map[string]string{}
	if err := json.Unmarshal(raw, &digests); err != nil {
		return nil, fmt.Errorf("read the digests of the module's images from %s: %w", file, err)
	}
	return digests, nil
}
