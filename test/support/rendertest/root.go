// Package rendertest renders the module's chart as addon-operator would, so
// that tests can look at the objects a setting leads to. Three layers:
// Settings checks what a person wrote against openapi/, Chart.Render turns
// values into Objects, and Objects finds and strictly decodes them. Render is
// the first two at once, and a Server returns whether Kubernetes accepts objects.
package rendertest

import (
	"fmt"
	"os"
	"path/filepath"
)

// Root returns the project's root folder: the nearest one above the working
// directory that holds module.yaml.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "module.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no module.yaml in %s or above it", start)
		}
	}
}
