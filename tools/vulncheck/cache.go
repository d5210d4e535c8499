package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// scanOnce returns what a scan finds. It scans, which takes minutes, only when
// something that a scan depends on has changed since the last one.
func scanOnce(ctx context.Context, database string) (map[string]Vulnerability, error) {
	sources, err := digest(os.DirFS("."), runtime.Version(), filepath.Base(database))
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(".cache", "vulncheck", sources+".json")
	var found map[string]Vulnerability
	if content, err := os.ReadFile(cache); err == nil && json.Unmarshal(content, &found) == nil {
		return found, nil
	}
	fmt.Println("vulncheck: looking for calls of code with known vulnerabilities: about 2 minutes, and as much the first time for the tools")
	if found, err = scan(ctx, database); err != nil {
		return nil, err
	}
	return found, remember(found, cache)
}

// remember replaces what is known of earlier sources.
func remember(found map[string]Vulnerability, cache string) error {
	content, err := json.Marshal(found)
	if err == nil {
		dir := filepath.Dir(cache)
		err = errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), os.WriteFile(cache, content, 0o644))
	}
	if err != nil {
		return fmt.Errorf("remember what govulncheck found: %w", err)
	}
	return nil
}

// digest is of all that a scan of the module in root depends on: its programs'
// code, the versions of its dependencies and of govulncheck, and versions.
func digest(root fs.FS, versions ...string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, versions)
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skipForeign(root, path)
		case !scanned(path):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the sources to check: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// skipForeign leaves out hidden folders and other modules.
func skipForeign(root fs.FS, dir string) error {
	if dir == "." || dir == filepath.Dir(pins) {
		return nil
	}
	if strings.HasPrefix(filepath.Base(dir), ".") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, dir+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func scanned(file string) bool {
	name := filepath.Base(file)
	return name == "go.mod" || name == "go.sum" || strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}
