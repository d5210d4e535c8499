package kubelet

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	dataLink      = "..data"
	dataLinkFresh = "..data_tmp"
)

// file of a volume.
type file struct {
	content []byte
	mode    fs.FileMode
}

// writeAtomically makes the folder show exactly these files (path below the
// folder → file), all changed in one moment, in the layout the kubelet uses:
// names are links into "..data", which is a link to the present generation.
// Equal files are not written again.
func writeAtomically(dir string, files map[string]file) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write volume %s: %w", dir, err)
	}
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	if old != "" && sameFiles(filepath.Join(dir, old), files) {
		return nil
	}
	if err := replaceGeneration(dir, old, files); err != nil {
		return fmt.Errorf("write volume %s: %w", dir, err)
	}
	return nil
}

func replaceGeneration(dir, old string, files map[string]file) error {
	generation, err := os.MkdirTemp(dir, "..generation_")
	if err != nil {
		return err
	}
	if err := os.Chmod(generation, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(generation, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content.content, content.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, content.mode); err != nil {
			return err
		}
	}
	fresh := filepath.Join(dir, dataLinkFresh)
	_ = os.Remove(fresh)
	if err := os.Symlink(filepath.Base(generation), fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(dir, dataLink)); err != nil {
		return err
	}
	if err := linkNames(dir, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

// linkNames makes the visible names those of the files, nothing more.
func linkNames(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		if wanted[entry.Name()] {
			delete(wanted, entry.Name())
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	for top := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, top), filepath.Join(dir, top)); err != nil {
			return err
		}
	}
	return nil
}

func sameFiles(generation string, files map[string]file) bool {
	count := 0
	err := filepath.WalkDir(generation, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(generation, path)
		if err != nil {
			return err
		}
		want, ok := files[name]
		content, err := os.ReadFile(path) //nolint:gosec // the folder is the lab's own
		if err != nil || !ok || !bytes.Equal(content, want.content) {
			return fs.ErrInvalid
		}
		count++
		return nil
	})
	return err == nil && count == len(files)
}
