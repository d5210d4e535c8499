package crdschema_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/deckhouse-mesh/istio/lib/crdschema"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// TestCRDsOfEarlierVersionsOfIstioAreReplaced: a CRD that knows more than the
// module's stays. None that the module itself may have installed does, or it would
// stay for ever.
func TestCRDsOfEarlierVersionsOfIstioAreReplaced(t *testing.T) {
	ours := readCRDs(t, filepath.Join("..", "..", "crds", "istio", "crd-all.gen.yaml"))
	for _, version := range istioversion.All() {
		list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio")
		list.Dir = filepath.Join("..", "..", "tools", "istio-"+version.Revision())
		dir, err := list.Output()
		if err != nil {
			t.Fatalf("find the module of Istio %s (was `make generate` run?): %v", version.Version, err)
		}
		compared := 0
		for name, theirs := range readCRDs(t, filepath.Join(strings.TrimSpace(string(dir)), "manifests", "charts", "base", "files", "crd-all.gen.yaml")) {
			candidate := ours[name]
			if candidate == nil {
				continue
			}
			compared++
			if beyond := crdschema.Beyond(theirs, candidate); len(beyond) > 0 {
				t.Errorf("%s of Istio %s would stay for ever: it has %v", name, version.Version, beyond)
			}
		}
		if compared < 10 {
			t.Errorf("of Istio %s only %d CRDs were compared", version.Version, compared)
		}
	}
}

func readCRDs(t *testing.T, file string) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096); ; {
		var crd apiextensionsv1.CustomResourceDefinition
		err := documents.Decode(&crd)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		if crd.Name != "" {
			found[crd.Name] = &crd
		}
	}
}
