// Package lab puts clusters together: control planes, nodes, the module's
// operator in each, and the resources that join every cluster to every other.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/controlplane"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// Layout says where the things are that a lab is made of.
type Layout struct {
	// Root of the project: modules/, global-hooks/ and .cache/ are below it.
	Root string
	// Bin is the folder of the project's programs.
	Bin      string
	Programs controlplane.Programs
}

// FindLayout finds the project around this program, or at root when that is
// given, and checks that everything has been built.
func FindLayout(root string) (Layout, error) {
	self, err := os.Executable()
	if err != nil {
		return Layout{}, fmt.Errorf("find the lab's own folder: %w", err)
	}
	layout := Layout{Bin: filepath.Dir(self), Root: root}
	if root == "" {
		layout.Root = filepath.Dir(layout.Bin)
	}
	if layout.Root, err = filepath.Abs(layout.Root); err != nil {
		return Layout{}, fmt.Errorf("find the project: %w", err)
	}
	var missing []string
	for _, file := range []string{layout.Operator(), layout.MetadataExporter(), layout.APIProxy(), layout.ModulesDir(), layout.GlobalHooksDir(), layout.ModuleConfigCRD(), layout.Istiod(istioversion.Default().Revision()), layout.Traefik()} {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, file)
		}
	}
	if len(missing) > 0 {
		return Layout{}, fmt.Errorf("not all that a lab needs has been built: no %s: run `make build tools`, or name the project with --root",
			strings.Join(missing, ", "))
	}
	layout.Programs, err = controlplane.FindPrograms(os.Getenv(controlplane.AssetsVariable), layout.builtPrograms())
	return layout, err
}

// Operator is the module's operator.
func (l Layout) Operator() string { return filepath.Join(l.Bin, "operator") }

// MetadataExporter is the program of the container of that name.
func (l Layout) MetadataExporter() string { return filepath.Join(l.Bin, "metadata-exporter") }

// APIProxy is the program of the container of that name.
func (l Layout) APIProxy() string { return filepath.Join(l.Bin, "api-proxy") }

// ModulesDir is what the operator is pointed at.
func (l Layout) ModulesDir() string { return filepath.Join(l.Root, "modules") }

// GlobalHooksDir holds the hooks that supply what Deckhouse would.
func (l Layout) GlobalHooksDir() string { return filepath.Join(l.Root, "global-hooks") }

// ModuleConfigCRD is the definition of ModuleConfig, made by `make generate`.
func (l Layout) ModuleConfigCRD() string {
	return filepath.Join(l.Root, "crds", "operator", "module-config.yaml")
}

// Istiod is the program of a revision, built by `make tools`.
func (l Layout) Istiod(revision string) string {
	return filepath.Join(l.Root, ".cache", "tools", "istio", revision, "pilot-discovery")
}

// Traefik is the ingress controller's program, built by `make tools`.
func (l Layout) Traefik() string {
	return filepath.Join(l.Root, ".cache", "tools", "traefik", "traefik")
}

// builtPrograms is the link that `make tools` leaves to the control plane it built.
func (l Layout) builtPrograms() string { return filepath.Join(l.Root, ".cache", "tools", "kube") }
