//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"text/template"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// fill the names of the fixture in: {{.Here.Shop}}, {{.There.Domain}}, …
func (f *traffic) fill(t *testing.T, text string) string {
	t.Helper()
	parsed, err := template.New("manifest").Option("missingkey=error").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var filled bytes.Buffer
	if err := parsed.Execute(&filled, f); err != nil {
		t.Fatal(err)
	}
	return filled.String()
}

// applyYAML creates the objects of a manifest, as a person would; they go with the test. Their
// namespace is the shop unless they name one.
func (f *traffic) applyYAML(t *testing.T, to *side, manifest string) {
	t.Helper()
	for _, object := range f.objects(t, to, manifest) {
		resource := to.resource(t, object)
		if err := create(resource, object); err != nil {
			t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		t.Cleanup(func() { _ = resource.Delete(context.Background(), object.GetName(), metav1.DeleteOptions{}) })
	}
}

// replace objects that were created before.
func (f *traffic) replace(t *testing.T, in *side, manifest string) {
	t.Helper()
	for _, object := range f.objects(t, in, manifest) {
		patch, err := json.Marshal(object)
		if err == nil {
			_, err = in.resource(t, object).Patch(context.Background(), object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if err != nil {
			t.Fatalf("replace %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// objects of a manifest.
func (f *traffic) objects(t *testing.T, of *side, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split(f.fill(t, manifest), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if object.GetNamespace() == "" {
			object.SetNamespace(of.Shop)
		}
		objects = append(objects, object)
	}
	return objects
}

var mappers sync.Map // of clusters

// resource that serves the object.
func (s *side) resource(t *testing.T, object *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	known, found := mappers.Load(s.name)
	if !found {
		groups, err := restmapper.GetAPIGroupResources(s.typed.Discovery())
		if err != nil {
			t.Fatal(err)
		}
		known, _ = mappers.LoadOrStore(s.name, restmapper.NewDiscoveryRESTMapper(groups))
	}
	kind := object.GroupVersionKind()
	mapping, err := known.(meta.RESTMapper).RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) && found { // its CRD may be younger
		mappers.Delete(s.name)
		return s.resource(t, object)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace())
}
