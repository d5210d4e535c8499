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

// Variables that the linker sets.
const (
	versionVariable = "github.com/deckhouse-mesh/istio/cmd/operator/internal/cli.version"
	moduleVariable  = "github.com/deckhouse-mesh/istio/lib/names.module"
)

// Architectures are those that images are published for, in Go's words; the system is linux.
var Architectures = []string{"amd64", "arm64"}

// Builder is Build, or what takes its place in tests.
type Builder func(ctx context.Context, root, out string, target Target, packages map[string]string, log io.Writer) error

// Target is what programs are built for.
type Target struct {
	// Architecture in Go's words; the system is linux.
	Architecture string
	// Version is set in programs that print it; empty: none.
	Version string
	// Module is the name that the module has; empty: its own.
	Module string
}

func (t Target) linked() string {
	linked := "-s -w"
	if t.Version != "" {
		linked += " -X " + versionVariable + "=" + t.Version
	}
	if t.Module != "" {
		linked += " -X " + moduleVariable + "=" + t.Module
	}
	return linked
}

// Build builds the package of each program, by its path from root, for the target
// into the folder. The Makefile builds those of this machine with the same flags.
func Build(ctx context.Context, root, out string, target Target, packages map[string]string, log io.Writer) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	for name, pkg := range packages {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", target.linked(), "-o", filepath.Join(out, name), pkg)
		command.Dir = root
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+target.Architecture, "GOWORK=off")
		command.Stdout, command.Stderr = log, log
		if err := command.Run(); err != nil {
			return fmt.Errorf("build %s for linux/%s: %w", name, target.Architecture, err)
		}
	}
	return nil
}
