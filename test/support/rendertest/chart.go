package rendertest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// chartFiles are what the module's chart consists of; the rest of the project is none of Helm's business.
var chartFiles = []string{"Chart.yaml", "charts", "templates", "monitoring", "files"}

// Chart is the module's chart, loaded once and rendered as often as wanted.
type Chart struct{ chart *chart.Chart }

// LoadChart loads the chart in the project's root folder. It needs the
// library chart that `make generate` puts into charts/.
func LoadChart(root string) (*Chart, error) {
	if _, err := os.Stat(filepath.Join(root, "charts", "deckhouse_lib_helm", "Chart.yaml")); err != nil {
		return nil, fmt.Errorf("load chart: Deckhouse's library chart is missing, run `make generate`: %w", err)
	}
	var files []*loader.BufferedFile
	for _, part := range chartFiles {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path) //nolint:gosec // folders of this repository, nobody else writes them
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			files = append(files, &loader.BufferedFile{Name: filepath.ToSlash(name), Data: content})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("load chart: %w", err)
		}
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("load chart: %w", err)
	}
	return &Chart{chart: loaded}, nil
}

// Render renders the chart with values for a cluster that serves Kubernetes'
// own APIs and those given, as "group/version/Kind". The error of a template
// that calls fail contains its sentence.
func (c *Chart) Render(values Values, apis ...string) (Objects, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	capabilities.APIVersions = append(capabilities.APIVersions, apis...)
	release := chartutil.ReleaseOptions{Name: "istio", Namespace: names.OperatorNamespace, Revision: 1, IsInstall: true}

	renderValues, err := chartutil.ToRenderValues(c.chart, values, release, capabilities)
	if err != nil {
		return nil, fmt.Errorf("prepare values: %w", err)
	}
	files, err := engine.Render(c.chart, renderValues)
	if err != nil {
		return nil, err
	}
	return parseObjects(files)
}
