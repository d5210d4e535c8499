package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"text/template"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// decodeBuffer is how much of a document the decoder reads to distinguish YAML from JSON.
const decodeBuffer = 4096

// Manifests reads the objects of a YAML file with several documents.
func Manifests(content []byte) ([]map[string]any, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), decodeBuffer)
	var objects []map[string]any
	for {
		object := map[string]any{}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		if len(object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Render fills in a template of a YAML file with several documents, and reads its objects.
func Render(name, text string, values any) ([]map[string]any, error) {
	parsed, err := template.New(name).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", name, err)
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, values); err != nil {
		return nil, fmt.Errorf("render the manifest of %s: %w", name, err)
	}
	return Manifests(rendered.Bytes())
}

// ApplyAll applies objects in their order, by server-side apply. It waits for
// the API of a kind whose CustomResourceDefinition is among them.
func (c *Clients) ApplyAll(ctx context.Context, objects []map[string]any) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Typed.Discovery()))
	for _, object := range objects {
		u := unstructured.Unstructured{Object: object}
		resource, err := resourceOf(ctx, mapper, u.GroupVersionKind())
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		if err := c.Apply(ctx, resource, object); err != nil {
			return err
		}
	}
	return nil
}

func resourceOf(ctx context.Context, mapper *restmapper.DeferredDiscoveryRESTMapper, kind schema.GroupVersionKind) (resource schema.GroupVersionResource, err error) {
	err = await.Until(ctx, discoveryTimeout, func(context.Context) (bool, string, error) {
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			mapper.Reset()
			return await.NotYet(err)
		}
		if err == nil {
			resource = mapping.Resource
		}
		return true, "", err
	})
	return resource, err
}
