package programs_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/programs"
)

// tinyProject is a module in a folder of its own, with a program that prints its version and the module's name as the operator knows them.
func tinyProject(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range map[string]string{
		"go.mod":                           "module github.com/deckhouse-mesh/istio\n\ngo 1.26\n",
		"cmd/operator/main.go":             "package main\n\nimport \"github.com/deckhouse-mesh/istio/cmd/operator/internal/cli\"\n\nfunc main() { cli.Print() }\n",
		"cmd/operator/internal/cli/cli.go": "package cli\n\nimport \"github.com/deckhouse-mesh/istio/lib/names\"\n\nvar version string\n\n// Print it.\nfunc Print() { println(version, names.Module()) }\n",
		"lib/names/names.go":               "package names\n\nvar module string\n\n// Module is its name.\nfunc Module() string { return module }\n",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// build returns the program as built in a folder of its own, with an empty cache.
func build(t *testing.T, architecture string) []byte {
	t.Helper()
	t.Setenv("GOCACHE", t.TempDir())
	out := t.TempDir()
	var log bytes.Buffer
	err := programs.Build(t.Context(), tinyProject(t), out, programs.Target{Architecture: architecture, Version: "v1.2.3", Module: "istio-alliance"}, map[string]string{"operator": "./cmd/operator"}, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	content, err := os.ReadFile(filepath.Join(out, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAProgramIsTheSameFromAnyFolderWithEmptyCaches(t *testing.T) {
	g := NewWithT(t)
	content := build(t, "arm64")
	g.Expect(bytes.Equal(content, build(t, "arm64"))).To(BeTrue(), "two builds from two folders differ")

	program, err := elf.NewFile(bytes.NewReader(content))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(program.Machine).To(Equal(elf.EM_AARCH64))
	for _, set := range []string{"v1.2.3", "istio-alliance"} {
		g.Expect(bytes.Contains(content, []byte(set))).To(BeTrue(), "%s is not in it", set)
	}
}
