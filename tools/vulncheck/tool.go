package main

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
)

// buildTool returns the program of a package in the pinned version. `go tool`
// would build and run it, but reports success when a signal ends it, and what
// was never found would then count as mended.
func buildTool(ctx context.Context, pkg string) (program string, err error) {
	program, err = filepath.Abs(filepath.Join(".cache", "tools", "vuln", path.Base(pkg)))
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-modfile="+pins, "-o", program, pkg)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s in the version of %s: %w: %s", pkg, pins, err, output)
	}
	return program, nil
}
