// Package operator holds the manifests that run the module's operator on a
// cluster without Deckhouse. README.md says what is in the operator's image.
package operator

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// Names of the objects in the manifests, for programs that wait for them or change them.
const (
	Namespace = names.OperatorNamespace
	// Name is that of the Deployment, its ServiceAccount and its Service.
	Name = "istio-operator"
	// Container is the one whose image and arguments an installation sets.
	Container = "operator"
)

//go:embed *.yaml
var files embed.FS

// Objects returns the manifests, those first that others need.
func Objects() ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, 0, len(names))
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(content, &object.Object); err != nil {
			return nil, fmt.Errorf("read the manifest %s: %w", name, err)
		}
		objects = append(objects, object)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(order(a), order(b)) })
	return objects, nil
}

// order of a kind in an installation: a Pod starts when all it needs is there.
func order(object *unstructured.Unstructured) int {
	switch object.GetKind() {
	case "Namespace":
		return 0
	case "Deployment":
		return 2
	default:
		return 1
	}
}
