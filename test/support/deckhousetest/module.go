// Package deckhousetest finds the files of Deckhouse's own module istio in the Go
// module that this project requires, so that tests can compare with them what this module accepts.
package deckhousetest

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// OpenAPI returns the folder with the settings' schema and conversions of Deckhouse's own module.
func OpenAPI() (string, error) {
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/deckhouse/deckhouse").Output()
	if err != nil {
		return "", fmt.Errorf("find the Go module of Deckhouse: %w", err)
	}
	dir := strings.TrimSpace(string(output))
	if dir == "" {
		return "", errors.New("find the Go module of Deckhouse: it is not downloaded, run `go mod download github.com/deckhouse/deckhouse`")
	}
	return filepath.Join(dir, "modules", "110-istio", "openapi"), nil
}
