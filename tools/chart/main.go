// Command chart packages the Helm chart of the operator and renders it as one file:
//
//	go run ./tools/chart [--root DIR] [--out DIR] [--version 1.2.3] [--registry REPOSITORY] [--images DIR]
//
// OUT/istio-operator-VERSION.tgz is the chart with the CRDs of its resources;
// OUT/install.yaml is the same for `kubectl apply --server-side`. Where DIR of
// --images has an OCI layout of `make images`, the chart names the operator's image by its digest there.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/deploy/operator"
)

const (
	// manifestsFile is the chart as one file.
	manifestsFile = "install.yaml"
	// operatorImage is the name of the operator's image in a registry, and the end of its reference in an OCI layout.
	operatorImage = "operator"
	// referenceAnnotation of a manifest in an OCI layout (OCI image specification, annotations).
	referenceAnnotation = "org.opencontainers.image.ref.name"
)

// crdGlobs are the CRDs of the resources that people write; Istio's own are the operator's to install.
var crdGlobs = []string{"crds/*.yaml", "crds/operator/*.yaml"}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	root := flags.String("root", ".", "`folder` of the project")
	out := flags.String("out", filepath.Join(".cache", "chart"), "`folder` to write to")
	version := flags.String("version", "", "`version` of the chart and of the image's tag (default those of Chart.yaml)")
	registry := flags.String("registry", "", "`repository` of the images (default the operator's own)")
	images := flags.String("images", "", "`folder` of an OCI layout with the operator's image, to name it by digest")
	if err := flags.Parse(args); err != nil {
		return err
	}
	built, err := build(*root, *version, *registry, *images)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	archive, err := chartutil.Save(built, *out)
	if err != nil {
		return fmt.Errorf("package the chart: %w", err)
	}
	manifests, err := render(built)
	if err != nil {
		return fmt.Errorf("render the chart: %w", err)
	}
	whole := filepath.Join(*out, manifestsFile)
	if err := os.WriteFile(whole, manifests, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "chart: %s, and as one file %s\n", archive, whole)
	return err
}

// build the chart with its CRDs, version and image.
func build(root, version, registry, images string) (*chart.Chart, error) {
	crds, err := readCRDs(root)
	if err != nil {
		return nil, err
	}
	built, err := operator.Chart(crds...)
	if err != nil {
		return nil, err
	}
	if version != "" {
		built.Metadata.Version, built.Metadata.AppVersion = strings.TrimPrefix(version, "v"), version
		if err := built.Validate(); err != nil {
			return nil, fmt.Errorf("version %q: %w", version, err)
		}
	}
	changes, image := map[string]any{}, map[string]any{}
	if registry != "" {
		registry = strings.TrimSuffix(registry, "/")
		image["repository"], changes["imageRegistry"] = registry+"/"+operatorImage, registry
	}
	if images != "" {
		digest, err := operatorDigest(images)
		if err != nil {
			return nil, err
		}
		image["digest"] = digest
	}
	if len(image) > 0 {
		changes["image"] = image
	}
	return built, setValues(built, changes)
}

// setValues changes the chart's own values, also in the file that is packaged.
func setValues(built *chart.Chart, changes map[string]any) error {
	if len(changes) == 0 {
		return nil // the file's comments stay
	}
	built.Values = chartutil.CoalesceTables(changes, built.Values)
	content, err := yaml.Marshal(built.Values)
	if err != nil {
		return err
	}
	for _, file := range built.Raw {
		if file.Name == chartutil.ValuesfileName {
			file.Data = content
		}
	}
	return nil
}

// readCRDs returns the files of the CRDs, to be added to the chart's folder crds.
func readCRDs(root string) ([]*loader.BufferedFile, error) {
	var files []*loader.BufferedFile
	for _, glob := range crdGlobs {
		paths, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("no file is %s: run `make generate`", filepath.Join(root, glob))
		}
		for _, path := range paths {
			if strings.HasPrefix(filepath.Base(path), "doc-") {
				continue // translations
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if content, err = withoutExtensions(content); err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			files = append(files, &loader.BufferedFile{Name: "crds/" + filepath.Base(path), Data: content})
		}
	}
	return files, nil
}

// withoutExtensions removes what an API server does not know from a CRD: the
// documentation's own keys, x-doc-examples and the like. `kubectl apply --server-side` rejects them.
func withoutExtensions(content []byte) ([]byte, error) {
	var definition map[string]any
	if err := yaml.Unmarshal(content, &definition); err != nil {
		return nil, err
	}
	removeExtensions(definition)
	return yaml.Marshal(definition)
}

func removeExtensions(value any) {
	switch value := value.(type) {
	case map[string]any:
		maps.DeleteFunc(value, func(key string, _ any) bool {
			return strings.HasPrefix(key, "x-") && !strings.HasPrefix(key, "x-kubernetes-")
		})
		for _, below := range value {
			removeExtensions(below)
		}
	case []any:
		for _, below := range value {
			removeExtensions(below)
		}
	}
}

// operatorDigest returns the digest of the operator's image in an OCI layout.
func operatorDigest(layout string) (string, error) {
	content, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there are no images in %s: run `make images`", layout)
	}
	if err != nil {
		return "", err
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return "", fmt.Errorf("read index.json of %s: %w", layout, err)
	}
	for _, manifest := range index.Manifests {
		reference := manifest.Annotations[referenceAnnotation]
		if repository, _, _ := strings.Cut(reference[strings.LastIndex(reference, "/")+1:], ":"); repository == operatorImage {
			return manifest.Digest, nil
		}
	}
	return "", fmt.Errorf("%s has no image %s", layout, operatorImage)
}

// render the chart as one file: the CRDs, the namespace and the rest.
func render(built *chart.Chart) ([]byte, error) {
	var file bytes.Buffer
	fmt.Fprintf(&file, "# The operator of the istio module, %s: kubectl apply --server-side -f %s\n", built.Metadata.AppVersion, manifestsFile)
	for _, crd := range built.CRDObjects() {
		file.WriteString("---\n")
		file.Write(bytes.TrimPrefix(bytes.TrimSpace(crd.File.Data), []byte("---\n")))
		file.WriteString("\n")
	}
	objects, err := operator.Render(built, nil)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		content, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		file.WriteString("---\n")
		file.Write(content)
	}
	return file.Bytes(), nil
}
