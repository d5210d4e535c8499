package rendertest

import (
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// renderUpstream renders Istio's own chart of a revision, with values that say
// what the module's defaults say: the same revision, namespace, domain,
// cluster and images. What is left to differ is a decision of ours.
func renderUpstream(t *testing.T, revision, proxyImage string) []*unstructured.Unstructured {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadDir(filepath.Join(root, ".cache", "istio", revision, "istio-discovery"))
	if err != nil {
		t.Fatalf("load Istio's own chart, which `make generate` takes from its Go module: %v", err)
	}
	values := map[string]any{
		"revision":     revision,
		"revisionTags": []any{"default"},
		"global": map[string]any{
			"istioNamespace": moduleNamespace,
			"multiCluster":   map[string]any{"clusterName": "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e"},
			"network":        "network-cluster-a-local-79846dd7",
			"proxy": map[string]any{
				"clusterDomain": "cluster-a.local",
				"image":         proxyImage,
				"resources":     map[string]any{"limits": map[string]any{"cpu": "2", "memory": "1Gi"}},
			},
			"proxy_init": map[string]any{"image": proxyImage},
		},
		"meshConfig": map[string]any{"trustDomain": "cluster-a.local"},
	}
	release := chartutil.ReleaseOptions{Name: "istiod", Namespace: moduleNamespace, Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	renderValues, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(chart, renderValues)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for file, content := range files {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for _, manifest := range releaseutil.SplitManifests(content) {
			object := map[string]any{}
			if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if len(object) > 0 {
				objects = append(objects, &unstructured.Unstructured{Object: object})
			}
		}
	}
	if len(objects) < 10 {
		t.Fatalf("Istio's own chart rendered only %d objects", len(objects))
	}
	return objects
}
