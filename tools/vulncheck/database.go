package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const vulndb = "golang.org/x/vulndb"

// ensureDatabase returns the folder with the database of the pinned version,
// which it makes below parent when it is not there yet.
func ensureDatabase(ctx context.Context, parent string) (string, error) {
	module, err := findModule(ctx, vulndb)
	if err != nil {
		return "", err
	}
	database, err := filepath.Abs(filepath.Join(parent, module.Version))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(database); err == nil {
		return database, nil
	}
	return database, makeDatabase(ctx, module, database)
}

// makeDatabase makes it beside its place and moves it there whole, so that an
// interrupted run leaves none that is half full. Older versions go.
func makeDatabase(ctx context.Context, from module, database string) error {
	parent := filepath.Dir(database)
	if err := errors.Join(os.RemoveAll(parent), os.MkdirAll(parent, 0o755)); err != nil {
		return fmt.Errorf("make a folder for the vulnerability database: %w", err)
	}
	unfinished := database + ".unfinished"
	index := goTool(ctx, "indexdb", "-vulns", filepath.Join(from.Dir, "data", "osv"), "-out", unfinished)
	if output, err := index.CombinedOutput(); err != nil {
		return fmt.Errorf("make the vulnerability database from %s %s: %w: %s", vulndb, from.Version, err, output)
	}
	if err := os.Rename(unfinished, database); err != nil {
		return fmt.Errorf("put the vulnerability database in its place: %w", err)
	}
	return nil
}

// module is what the go command prints of one.
type module struct {
	Version, Dir, Error string
}

// findModule returns the version that is pinned, unpacked.
func findModule(ctx context.Context, path string) (module, error) {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	download.Dir = filepath.Dir(pins)
	var stdout, stderr bytes.Buffer
	download.Stdout, download.Stderr = &stdout, &stderr
	runErr := download.Run()

	var found module
	if err := json.Unmarshal(stdout.Bytes(), &found); err != nil || found.Dir == "" {
		return module{}, fmt.Errorf("download %s in the version of %s: %w: %s%s", path, pins, errors.Join(runErr, err), found.Error, stderr.String())
	}
	return found, nil
}

// goTool returns the command that runs a tool of the pinned version, which the go command builds and caches.
func goTool(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "go", append([]string{"tool", "-modfile=" + pins, name}, args...)...)
}
