// Package operator is the Helm chart that runs the module's operator on a
// cluster without Deckhouse. README.md says what is in the operator's image.
package operator

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// Names of the objects in the chart, for programs that wait for them or change them.
const (
	Namespace = names.OperatorNamespace
	// Name is that of the release, the Deployment, its ServiceAccount and its Service.
	Name = "istio-operator"
	// Container is the operator's in the Deployment.
	Container = "operator"
)

// kubeVersion is what templates are rendered for without a cluster: the oldest that is supported.
const kubeVersion = "v1.32.0"

//go:embed Chart.yaml values.yaml values.schema.json all:templates namespace.yaml
var files embed.FS

// namespaceFile is not part of the chart: Helm's --create-namespace makes the namespace, or a person does.
const namespaceFile = "namespace.yaml"

// Chart returns the chart; further files, such as CRDs, are added to it by their paths.
func Chart(further ...*loader.BufferedFile) (*chart.Chart, error) {
	buffered := further
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == namespaceFile {
			return err
		}
		content, err := files.ReadFile(path)
		buffered = append(buffered, &loader.BufferedFile{Name: path, Data: content})
		return err
	})
	if err != nil {
		return nil, err
	}
	return loader.LoadFiles(buffered)
}

// Render returns what a chart of the operator installs with the values in place
// of its own, and the namespace, those first that others need. Helm's tests are not among them.
func Render(of *chart.Chart, values map[string]any) ([]*unstructured.Unstructured, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	scope, err := chartutil.ToRenderValues(of, values,
		chartutil.ReleaseOptions{Name: Name, Namespace: Namespace, Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(of, scope)
	if err != nil {
		return nil, err
	}
	namespace, err := files.ReadFile(namespaceFile)
	if err != nil {
		return nil, err
	}
	documents := map[string]string{namespaceFile: string(namespace)}
	for name, content := range rendered {
		if strings.HasSuffix(name, ".yaml") && !strings.Contains(name, "/tests/") {
			for key, document := range releaseutil.SplitManifests(content) {
				documents[name+"/"+key] = document
			}
		}
	}
	objects := make([]*unstructured.Unstructured, 0, len(documents))
	for name, document := range documents {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			return nil, fmt.Errorf("read the manifest %s: %w", name, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(order[a.GetKind()], order[b.GetKind()]), strings.Compare(identity(a), identity(b)))
	})
	return objects, nil
}

func identity(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetNamespace() + "/" + object.GetName()
}

// order of kinds in an installation, 0 for those that are not here: a Pod starts when all it needs is there.
var order = map[string]int{"Namespace": -1, "Deployment": 1}
