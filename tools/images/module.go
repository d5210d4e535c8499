package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// moduleImages returns an image for each folder of images/, as the module asks
// for them. Versions of Istio that were not built are left out and logged,
// except the default one, without which there is no lab.
func (p project) moduleImages(log io.Writer) ([]oci.Image, error) {
	folders, err := os.ReadDir(p.path("images"))
	if err != nil {
		return nil, err
	}
	var images []oci.Image
	for _, folder := range folders {
		name := folder.Name()
		kind, revision, _ := strings.Cut(name, "-")
		version, ofIstio := istioversion.FindRevision(revision)
		var i oci.Image
		var err error
		switch {
		case ofIstio && !p.wasBuilt(version):
			_, _ = fmt.Fprintf(log, "images: no %s: `make tools` has not built Istio %s\n", name, version.Version)
			continue
		case ofIstio && kind == "pilot":
			i, err = p.pilot(version)
		case ofIstio && kind == "proxyv2":
			i, err = p.proxy(version)
		case name == "kiali":
			i = p.kiali()
		default:
			i, err = p.own(name)
		}
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		i.Name = oci.CamelCase(name)
		images = append(images, i)
	}
	return images, nil
}

// programsFolder is where images have the module's own programs.
const programsFolder = "usr/local/bin"

// own returns the image of the module's own programs in one folder of images/, which
// are static. The one of the folder's name is what the image runs unless a Pod names another.
func (p project) own(name string) (oci.Image, error) {
	if _, err := os.Stat(p.path("images", name, "cmd", name)); err != nil {
		return oci.Image{}, fmt.Errorf("nothing says how to build it for the lab: %w", err)
	}
	programs, err := os.ReadDir(p.path("images", name, "cmd"))
	if err != nil {
		return oci.Image{}, err
	}
	var entries []oci.Entry
	for _, each := range programs {
		entries = append(entries, oci.Program(path.Join(programsFolder, each.Name()), p.bin(each.Name())))
	}
	return oci.Image{
		Layers:       [][]oci.Entry{oci.Scratch("deckhouse", oci.DeckhouseUser), entries},
		Architecture: p.architecture,
		Config: v1.Config{
			User: oci.UserAndGroup(oci.DeckhouseUser), Entrypoint: []string{"/" + path.Join(programsFolder, name)}, Labels: p.stamp.labels(name),
		},
	}, nil
}

// operatorName is the name of the operator's image.
const operatorName = "operator"

// operatorImage returns the operator's image: the program, and the module's
// folders where it looks for them without any flag.
func (p project) operatorImage(digests []byte, istioBuiltHere bool) (oci.Image, error) {
	entries := []oci.Entry{
		oci.Program("operator", p.bin("operator")),
		{Path: "modules/values.yaml", Mode: 0o644, From: p.path("modules", "values.yaml")},
		{Path: "modules/110-istio/" + oci.DigestsFile, Mode: 0o644, Content: digests},
		oci.Writable("tmp"),
	}
	for _, file := range []string{".helmignore", "Chart.yaml"} {
		entries = append(entries, oci.Entry{Path: "modules/110-istio/" + file, Mode: 0o644, From: p.path(file)})
	}
	for target, dir := range map[string]string{
		"modules/110-istio/charts":     "charts",
		"modules/110-istio/files":      "files",
		"modules/110-istio/monitoring": "monitoring",
		"modules/110-istio/openapi":    "openapi",
		"modules/110-istio/templates":  "templates",
		"global-hooks/openapi":         filepath.Join("global-hooks", "openapi"),
		"crds":                         "crds",
	} {
		below, err := oci.Tree(target, p.path(dir))
		if err != nil {
			return oci.Image{}, fmt.Errorf("image of the operator: %w: run `make generate`", err)
		}
		entries = append(entries, below...)
	}
	entrypoint := []string{"/operator"}
	if istioBuiltHere {
		// Then the digests are of other patches of Istio than those that the module's own images have.
		entrypoint = append(entrypoint, "--istio-versions="+strings.Join(istioversion.ModulesFull(), ","))
	}
	return oci.Image{
		Name:         operatorName,
		References:   []string{"ghcr.io/deckhouse-mesh/istio/operator:dev"},
		Layers:       [][]oci.Entry{oci.Scratch("deckhouse", oci.DeckhouseUser), entries},
		Architecture: p.architecture,
		Config: v1.Config{
			User: oci.UserAndGroup(oci.DeckhouseUser), Entrypoint: entrypoint, Labels: p.stamp.labels(operatorName),
			// Helm's library looks for its settings in the user's home.
			Env: []string{"HOME=/tmp"},
		},
	}, nil
}

// kiali returns the image that stands where Kiali's would: Kiali is published
// as an image only. The module's Deployment exists, its log says why it is not
// ready, and no digest is invented.
func (p project) kiali() oci.Image {
	const inside = "opt/kiali/kiali" // what the Deployment names
	return oci.Image{
		Layers: [][]oci.Entry{{oci.Program(inside, p.tool("pause", "pause"))}},
		Config: v1.Config{
			User: oci.UserAndGroup(oci.DeckhouseUser), Entrypoint: []string{"/" + inside},
			Env: []string{"PAUSE_SAYS=Kiali is not in the lab, which builds all that it runs: Kiali is published as an image only."},
		},
	}
}
