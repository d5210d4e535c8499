// Package programs builds the project's Go programs for images: for any platform,
// and the same bytes wherever the source lies and whatever is in Go's caches.
package programs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// versionVariable is set to the version in programs that print it.
const versionVariable = "github.com/deckhouse-mesh/istio/cmd/operator/internal/cli.version"

// Build builds the package of each program, by its path from root, for linux on the
// architecture (in Go's words) into the folder. The Makefile builds those of this machine with the same flags.
func Build(ctx context.Context, root, out, architecture, version string, packages map[string]string, log io.Writer) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	linked := "-s -w"
	if version != "" {
		linked += " -X " + versionVariable + "=" + version
	}
	for name, pkg := range packages {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", linked, "-o", filepath.Join(out, name), pkg)
		command.Dir = root
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOWORK=off")
		command.Stdout, command.Stderr = log, log
		if err := command.Run(); err != nil {
			return fmt.Errorf("build %s for linux/%s: %w", name, architecture, err)
		}
	}
	return nil
}
