package main

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// labOperator is the operator that the lab runs the module's folder with.
const labOperator = "ghcr.io/deckhouse-mesh/istio/operator:bundle"

// buildImages builds the images into the layout, and returns their digests by name.
func (b bundle) buildImages(layout string, module, release []oci.Entry, log io.Writer) (map[string]v1.Hash, error) {
	operator, err := b.operator(module)
	if err != nil {
		return nil, err
	}
	store, err := oci.Open(layout)
	if err != nil {
		return nil, err
	}
	digests := map[string]v1.Hash{}
	for _, image := range []oci.Image{
		{Name: "module", References: []string{b.repository + ":" + b.version}, Layers: [][]oci.Entry{module}, Gzip: true},
		{Name: "release", References: []string{b.repository + "/release:" + b.version}, Layers: [][]oci.Entry{release}, Gzip: true},
		operator,
	} {
		if digests[image.Name], err = store.Add(image, log); err != nil {
			return nil, err
		}
	}
	return digests, store.Close()
}

// operator returns the image that runs the module's folder, which is in it where
// the operator looks for modules. No hook is linked into its program.
func (b bundle) operator(module []oci.Entry) (oci.Image, error) {
	folder := "modules/" + names.FolderOf(b.name)
	entries := []oci.Entry{
		oci.Program("operator", filepath.Join(b.programs(), "operator-bundled")),
		oci.Text("modules/values.yaml", "# Off until a ModuleConfig switches it on.\n"+names.KeyOf(b.name)+"Enabled: false\n"),
		oci.Writable("tmp"),
	}
	for _, entry := range module {
		entry.Path = path.Join(folder, entry.Path)
		entries = append(entries, entry)
	}
	for _, dir := range []string{"global-hooks/openapi", "crds/operator"} {
		below, err := oci.Tree(dir, filepath.Join(b.root, filepath.FromSlash(dir)))
		if err != nil {
			return oci.Image{}, fmt.Errorf("image of the operator: %w: run `make generate`", err)
		}
		entries = append(entries, below...)
	}
	return oci.Image{
		Name:       "operator",
		References: []string{labOperator},
		Layers:     [][]oci.Entry{oci.Scratch("deckhouse", oci.DeckhouseUser), entries},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.DeckhouseUser),
			// The images that `make images` builds have other patches of Istio than the module's own.
			Entrypoint: []string{"/operator", "--istio-versions=" + strings.Join(istioversion.ModulesFull(), ",")},
			Env:        []string{"HOME=/tmp"},
		},
	}, nil
}
