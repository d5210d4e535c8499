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
)

// moduleImages returns an image for each folder of images/, as the module asks
// for them. Versions of Istio that were not built are left out and logged,
// except the default one, without which there is no lab.
func (p project) moduleImages(log io.Writer) ([]image, error) {
	folders, err := os.ReadDir(p.path("images"))
	if err != nil {
		return nil, err
	}
	var images []image
	for _, folder := range folders {
		name := folder.Name()
		kind, revision, _ := strings.Cut(name, "-")
		version, ofIstio := istioversion.FindRevision(revision)
		var i image
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
		i.name = camelCase(name)
		images = append(images, i)
	}
	return images, nil
}

// own returns the image of the module's own programs in one folder of images/, which
// are static. The one of the folder's name is what the image runs unless a Pod names another.
func (p project) own(name string) (image, error) {
	if _, err := os.Stat(p.path("images", name, "cmd", name)); err != nil {
		return image{}, fmt.Errorf("nothing says how to build it for the lab: %w", err)
	}
	programs, err := os.ReadDir(p.path("images", name, "cmd"))
	if err != nil {
		return image{}, err
	}
	const folder = "usr/local/bin"
	var entries []entry
	for _, each := range programs {
		entries = append(entries, program(path.Join(folder, each.Name()), p.bin(each.Name())))
	}
	return image{
		layers: [][]entry{scratch("deckhouse", deckhouseUser), entries},
		config: v1.Config{User: userAndGroup(deckhouseUser), Entrypoint: []string{"/" + path.Join(folder, name)}},
	}, nil
}

// operatorImage returns the operator's image: the program, and the module's
// folders where it looks for them without any flag.
func (p project) operatorImage(digests []byte) (image, error) {
	entries := []entry{
		program("operator", p.bin("operator")),
		{path: "modules/values.yaml", mode: 0o644, from: p.path("modules", "values.yaml")},
		{path: "modules/110-istio/" + digestsFile, mode: 0o644, content: digests},
		writable("tmp"),
	}
	for _, file := range []string{".helmignore", "Chart.yaml"} {
		entries = append(entries, entry{path: "modules/110-istio/" + file, mode: 0o644, from: p.path(file)})
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
		below, err := tree(target, p.path(dir))
		if err != nil {
			return image{}, fmt.Errorf("image of the operator: %w: run `make generate`", err)
		}
		entries = append(entries, below...)
	}
	return image{
		name:       "operator",
		references: []string{"ghcr.io/deckhouse-mesh/istio/operator:dev"},
		layers:     [][]entry{scratch("deckhouse", deckhouseUser), entries},
		config: v1.Config{
			User: userAndGroup(deckhouseUser),
			// The digests in it are of other patches of Istio than those that the module's own images have.
			Entrypoint: []string{"/operator", "--istio-versions=" + moduleVersions()},
			// Helm's library looks for its settings in the user's home.
			Env: []string{"HOME=/tmp"},
		},
	}, nil
}

// kiali returns the image that stands where Kiali's would: Kiali is published
// as an image only. The module's Deployment exists, its log says why it is not
// ready, and no digest is invented.
func (p project) kiali() image {
	const inside = "opt/kiali/kiali" // what the Deployment names
	return image{
		layers: [][]entry{{program(inside, p.tool("pause", "pause"))}},
		config: v1.Config{
			User: userAndGroup(deckhouseUser), Entrypoint: []string{"/" + inside},
			Env: []string{"PAUSE_SAYS=Kiali is not in the lab, which builds all that it runs: Kiali is published as an image only."},
		},
	}
}

func userAndGroup(id int) string { return fmt.Sprintf("%d:%d", id, id) }
