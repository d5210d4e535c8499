package globalhooks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/flant/addon-operator/pkg/utils"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	// digestsFile lies in a module's folder once its images are built: the key
	// is an image's name in camelCase, the value its digest.
	digestsFile = "images_digests.json"
	// imagesDir has a folder for each image of a module.
	imagesDir = "images"
)

// modulesImages publishes where the modules' images are, read once at the start
// from their folders.
func modulesImages(registry, modulesDir string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "modules_images",
		Config: pkg.HookConfig{OnStartup: &pkg.OrderedConfig{Order: 1}},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			digests, err := allDigests(modulesDir)
			if err != nil {
				return err
			}
			set(in, "global.modulesImages.registry.base", registry)
			set(in, "global.modulesImages.digests", digests)
			return nil
		},
	}
}

// allDigests returns the digests of every module in modulesDir, by the module's
// name in camelCase.
func allDigests(modulesDir string) (map[string]map[string]string, error) {
	entries, err := os.ReadDir(modulesDir)
	if err != nil {
		return nil, fmt.Errorf("look for modules' images: %w", err)
	}
	out := map[string]map[string]string{}
	for _, entry := range entries {
		dir := filepath.Join(modulesDir, entry.Name())
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		digests, err := moduleDigests(dir)
		if err != nil {
			return nil, fmt.Errorf("look for the images of module %s: %w", entry.Name(), err)
		}
		out[utils.ModuleNameToValuesKey(withoutOrder(entry.Name()))] = digests
	}
	return out, nil
}

func moduleDigests(dir string) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, digestsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return placeholderDigests(filepath.Join(dir, imagesDir))
	}
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	if err := json.Unmarshal(raw, &digests); err != nil {
		return nil, fmt.Errorf("read %s: %w", digestsFile, err)
	}
	return digests, nil
}

// placeholderDigests stands in for images that were not built, when the module
// runs from its source tree: each folder of dir gets a well-formed digest that
// belongs to no image, so that manifests render; a kubelet could not pull them.
func placeholderDigests(dir string) (map[string]string, error) {
	digests := map[string]string{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return digests, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			digests[camelCase(entry.Name())] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("not built: "+entry.Name())))
		}
	}
	return digests, nil
}

var orderPrefix = regexp.MustCompile(`^[0-9]+-`)

func withoutOrder(folder string) string { return orderPrefix.ReplaceAllString(folder, "") }

// camelCase turns the name of an image's folder into its key, as the build does:
// "proxyv2-v1x31" becomes "proxyv2V1x31".
func camelCase(name string) string {
	words := strings.Split(name, "-")
	for i := range words[1:] {
		if word := words[i+1]; word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
