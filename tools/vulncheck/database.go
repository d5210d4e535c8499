package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/deckhouse-mesh/istio/tools/gomodule"
)

const vulndb = "golang.org/x/vulndb"

// ensureDatabase returns the folder with the database of the pinned version,
// which it makes below parent when it is not there yet.
func ensureDatabase(ctx context.Context, parent string) (string, error) {
	module, err := gomodule.Download(ctx, filepath.Dir(pins), vulndb)
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
func makeDatabase(ctx context.Context, from gomodule.Module, database string) error {
	parent := filepath.Dir(database)
	if err := errors.Join(os.RemoveAll(parent), os.MkdirAll(parent, 0o755)); err != nil {
		return fmt.Errorf("make a folder for the vulnerability database: %w", err)
	}
	indexdb, err := buildTool(ctx, "golang.org/x/vulndb/cmd/indexdb")
	if err != nil {
		return err
	}
	unfinished := database + ".unfinished"
	index := exec.CommandContext(ctx, indexdb, "-vulns", filepath.Join(from.Dir, "data", "osv"), "-out", unfinished)
	if output, err := index.CombinedOutput(); err != nil {
		return fmt.Errorf("make the vulnerability database from %s %s: %w: %s", vulndb, from.Version, err, output)
	}
	if err := os.Rename(unfinished, database); err != nil {
		return fmt.Errorf("put the vulnerability database in its place: %w", err)
	}
	return nil
}
