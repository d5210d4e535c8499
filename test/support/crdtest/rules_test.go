package crdtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoadRejects guards the checks that stand in for the API server's own.
func TestLoadRejects(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("..", "..", "..", "crds", "istiofederation.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new, message string }{
		{"a rule that does not compile", "self.startsWith('https://')", "self.startWith('https://')", "undeclared reference to 'startWith'"},
		{"a rule over a list without a limit", "maxItems: 256", "minItems: 0", "costs up to"},
		{"a default of the wrong type", "default: false", "default: never", "defaults"},
		{"a schema that is not structural", "type: array\n                  maxItems", "maxItems", "is not structural"},
		{"a field that CustomResourceDefinitions do not have", "served: true", "serve: true", `unknown field "serve"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := strings.Replace(string(good), test.old, test.new, 1)
			if bad == string(good) {
				t.Fatalf("the definition does not contain %q", test.old)
			}
			path := filepath.Join(t.TempDir(), "crd.yaml")
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); err == nil || !strings.Contains(err.Error(), test.message) {
				t.Errorf("the error does not say %q: %v", test.message, err)
			}
		})
	}
}
