package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/deploy/operator"
)

const (
	root   = "../.."
	digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
)

// layout is an OCI layout with the operator's image, as `make images` leaves it.
func layout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	index := `{"manifests":[{"digest":"sha256:2"},{"digest":"` + digest + `","annotations":{"org.opencontainers.image.ref.name":"ghcr.io/x/operator:dev"}}]}`
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheChartIsPackagedWithItsVersionImageAndCRDs(t *testing.T) {
	out := t.TempDir()
	args := []string{"--root", root, "--out", out, "--version", "v1.2.3", "--registry", "registry.example.com/mesh/", "--images", layout(t)}
	if err := run(args, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	packaged, err := loader.Load(filepath.Join(out, "istio-operator-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	crds := map[string]bool{}
	for _, crd := range packaged.CRDObjects() {
		crds[filepath.Base(crd.Name)] = true
	}
	for _, wanted := range []string{"module-config.yaml", "istiofederation.yaml", "istiomulticluster.yaml"} {
		if !crds[wanted] {
			t.Errorf("the chart has no CRD %s: %v", wanted, crds)
		}
	}
	objects, err := operator.Render(packaged, nil)
	if err != nil {
		t.Fatal(err)
	}
	deployment := objects[len(objects)-1]
	text, err := yaml.Marshal(deployment.Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"image: registry.example.com/mesh/operator@" + digest, "--image-registry=registry.example.com/mesh"} {
		if !strings.Contains(string(text), wanted) {
			t.Errorf("the Deployment lacks %q:\n%s", wanted, text)
		}
	}
}

func TestTheOneFileHasWhatTheChartInstalls(t *testing.T) {
	out := t.TempDir()
	if err := run([]string{"--root", root, "--out", out}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(out, manifestsFile))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, document := range strings.Split(string(content), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		kinds[object.GetKind()]++
	}
	chart, err := operator.Chart()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := operator.Render(chart, nil)
	if err != nil {
		t.Fatal(err)
	}
	installed := map[string]int{}
	for _, object := range objects {
		installed[object.GetKind()]++
	}
	for kind, count := range installed {
		if kinds[kind] != count {
			t.Errorf("the chart installs %d of kind %s, the file has %d", count, kind, kinds[kind])
		}
	}
	// An API server rejects fields that it does not know when they are applied server-side.
	if found := regexp.MustCompile(`(?m)^\s*x-(doc|examples)[a-z-]*:`).FindString(string(content)); found != "" {
		t.Errorf("it has %q, which an API server does not know", strings.TrimSpace(found))
	}
	if kinds["CustomResourceDefinition"] < 3 {
		t.Errorf("it has %d CRDs", kinds["CustomResourceDefinition"])
	}
}

func TestHelmHasNoComplaintAboutTheChart(t *testing.T) {
	out := t.TempDir()
	if err := run([]string{"--root", root, "--out", out}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	lint := action.NewLint()
	lint.Namespace, lint.Strict = operator.Namespace, true
	result := lint.Run([]string{filepath.Join(out, "istio-operator-0.0.1.tgz")}, nil)
	for _, message := range result.Messages {
		if message.Severity > support.InfoSev {
			t.Error(message)
		}
	}
	for _, err := range result.Errors {
		t.Error(err)
	}
}

func TestWrongValuesAreRejectedByTheirNames(t *testing.T) {
	chart, err := operator.Chart()
	if err != nil {
		t.Fatal(err)
	}
	for wanted, values := range map[string]map[string]any{
		"replicas":   {"replicas": 0},
		"logLevel":   {"logLevel": "loud"},
		"digest":     {"image": map[string]any{"digest": "latest"}},
		"settings":   {"settings": map[string]any{}},
		"extraArgs":  {"extraArgs": []any{"start"}},
		"registryS":  {"registryS": "x"},
		"imagesDige": {"imagesDigests": map[string]any{"kiali": "latest"}},
	} {
		if _, err := operator.Render(chart, values); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("values %v get the error %v, which does not name %s", values, err, wanted)
		}
	}
}

func TestAMissingLayoutIsExplained(t *testing.T) {
	if _, err := operatorDigest(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make images") {
		t.Errorf("the error is %v", err)
	}
}
