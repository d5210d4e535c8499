// Package gomodule asks the go command for Go modules.
package gomodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

// Module is a version of a Go module, unpacked in Dir.
type Module struct{ Version, Dir string }

// Download returns the module in the version that the go.mod in the folder
// requires, and downloads it when the module cache lacks it.
func Download(ctx context.Context, folder, path string) (Module, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	command.Dir = folder
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	runErr := command.Run()

	var found struct {
		Module

		Error string
	}
	if err := json.Unmarshal(stdout.Bytes(), &found); err != nil || found.Dir == "" {
		return Module{}, fmt.Errorf("go mod download %s in %s: %w: %s%s", path, folder, errors.Join(runErr, err), found.Error, stderr.String())
	}
	return found.Module, nil
}
