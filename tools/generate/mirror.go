package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// mirror makes to, a file or a folder, equal to from and returns the number of
// files written or removed. Files that are equal already are left alone; those
// of a folder whose name matches skip, a pattern of filepath.Match, are left out.
func mirror(from, to, skip string) (changed int, err error) {
	wanted := map[string]bool{}
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if skipped, err := filepath.Match(skip, entry.Name()); err != nil || skipped {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		wanted[target] = true
		n, err := copyFile(path, target)
		changed += n
		return err
	})
	if err != nil {
		return changed, err
	}
	// What is not wanted is, for example, of an older version.
	err = filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || wanted[path] {
			return err
		}
		changed++
		return os.Remove(path) //nolint:gosec // folders of this repository, nobody else writes them
	})
	return changed, err
}

// copyFile writes to with the content of from and returns 1, or 0 when it had it.
func copyFile(from, to string) (int, error) {
	wanted, err := os.ReadFile(from)
	if err != nil {
		return 0, err
	}
	if actual, err := os.ReadFile(to); err == nil && bytes.Equal(actual, wanted) {
		return 0, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	return 1, os.WriteFile(to, wanted, 0o644)
}
