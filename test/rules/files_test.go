package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root of the repository, as tests of this package see it.
const root = "../.."

// generated folders are git-ignored or hold other people's text.
var generated = []string{".git", ".cache", "bin", "charts", "files", "crds/istio", "crds/operator", "tools/traefik/.lego"}

// files returns the paths of the repository's own files with one of the names'
// endings, relative to the root and sorted.
func files(t *testing.T, endings ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		switch {
		case entry.IsDir() && slices.Contains(generated, relative):
			return fs.SkipDir
		case entry.Type().IsRegular() && slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(relative, ending) }):
			found = append(found, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
