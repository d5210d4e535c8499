package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// hooksProgram is where the module's folder has the hooks; Deckhouse finds it by asking each program below hooks/.
const hooksProgram = "hooks/istio-hooks"

// Parts of the module's folder that the project has by the same names. A test
// compares them with .werf/bundle.yaml, by which releases are built.
var (
	files   = []string{".helmignore", "Chart.yaml", "LICENSE", "module.yaml", "oss.yaml"}
	folders = []string{"charts", "crds", "docs", "files", "monitoring", "openapi", "templates"}
)

// operatorsCRDs are the operator's own, which Deckhouse does without.
const operatorsCRDs = "crds/operator/"

// module returns the files of the module's folder.
func (b bundle) module() ([]oci.Entry, error) {
	digests, err := b.digests()
	if err != nil {
		return nil, err
	}
	entries := []oci.Entry{
		oci.Program(hooksProgram, filepath.Join(b.programs(), path.Base(hooksProgram))),
		oci.Text(oci.DigestsFile, string(digests)),
	}
	if b.name != names.Embedded {
		entries = append(entries, oci.Program(enabledProgram, filepath.Join(b.programs(), enabledProgram)))
	}
	for _, file := range files {
		entries = append(entries, oci.Entry{Path: file, Mode: 0o644, From: filepath.Join(b.root, file)})
	}
	for _, folder := range folders {
		below, err := oci.Tree(folder, filepath.Join(b.root, folder))
		if err != nil {
			return nil, fmt.Errorf("lay out the module: %w: run `make generate`", err)
		}
		entries = append(entries, below...)
	}
	entries = slices.DeleteFunc(entries, func(entry oci.Entry) bool { return strings.HasPrefix(entry.Path, operatorsCRDs) })
	for i := range entries {
		if entries[i], err = b.rename(entries[i]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// programs is the folder with those of the module's name.
func (b bundle) programs() string {
	switch {
	case b.bin != "":
		return b.bin
	case b.name != names.Embedded:
		return filepath.Join(b.root, "bin", b.name)
	default:
		return filepath.Join(b.root, "bin")
	}
}

// digests of the module's images, as they are read there.
func (b bundle) digests() ([]byte, error) {
	file := filepath.Join(b.images, oci.DigestsFile)
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the module needs the digests of its images, and there is no %s: run `make images`", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the digests of the module's images: %w", err)
	}
	if err := json.Unmarshal(raw, &map[string]string{}); err != nil {
		return nil, fmt.Errorf("read the digests of the module's images from %s: %w", file, err)
	}
	return raw, nil
}

// release returns the files of the release image: which version a channel has, and what it needs.
func (b bundle) release() ([]oci.Entry, error) {
	version, err := json.Marshal(map[string]string{"version": b.version})
	if err != nil {
		return nil, err
	}
	definition, err := b.rename(oci.Entry{Path: "module.yaml", Mode: 0o644, From: filepath.Join(b.root, "module.yaml")})
	if err != nil {
		return nil, err
	}
	return []oci.Entry{oci.Text("version.json", string(version)+"\n"), definition}, nil
}

// writeFolder writes the entries, which are files, in place of what the folder had.
func writeFolder(dir string, entries []oci.Entry) error {
	written := dir + ".new"
	if err := os.RemoveAll(written); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := writeEntry(filepath.Join(written, filepath.FromSlash(entry.Path)), entry); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(written, dir)
}

func writeEntry(file string, entry oci.Entry) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	content := entry.Content
	if entry.From != "" {
		var err error
		if content, err = os.ReadFile(entry.From); err != nil {
			return err
		}
	}
	return os.WriteFile(file, content, entry.Mode.Perm())
}
