package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

// The smallest of our images, and the package of its program.
const (
	smallImage   = "alliance-healthcheck"
	smallPackage = "./images/" + smallImage + "/cmd/" + smallImage
)

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	var output, errors bytes.Buffer
	run := exec.CommandContext(t.Context(), name, args...)
	run.Dir, run.Stdout, run.Stderr = dir, &output, &errors
	run.Env = append(os.Environ(), "MAKEFLAGS=", "CGO_ENABLED=0") // not those of the make that runs this test
	if err := run.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, output.String(), errors.String())
	}
	return output.String()
}

// checkout is a folder of its own with what the small image is built of.
func checkout(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	source, err := filepath.Abs(realRoot)
	if err != nil {
		t.Fatal(err)
	}
	const ours = `{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	for _, file := range append(strings.Fields(command(t, source, "go", "list", "-deps", "-f", ours, smallPackage)),
		filepath.Join(source, "Makefile"), filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
		relative, err := filepath.Rel(source, file)
		if err != nil {
			t.Fatal(err)
		}
		copyFile(t, root, relative)
	}
	return root
}

// smallDigest of the image from that folder's program.
func smallDigest(t *testing.T, root string) v1.Hash {
	t.Helper()
	store, err := oci.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image, err := project{root: root}.own(smallImage)
	if err != nil {
		t.Fatal(err)
	}
	image.Name = smallImage
	digest, err := store.Add(image, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestAnImageIsTheSameFromAnyFolder also holds that the Makefile builds programs as they are built for publication.
func TestAnImageIsTheSameFromAnyFolder(t *testing.T) {
	g := NewWithT(t)
	first, second, published := checkout(t), checkout(t), checkout(t)
	for _, root := range []string{first, second} {
		command(t, root, "make", "bin/"+smallImage)
	}
	var log bytes.Buffer
	g.Expect(programs.Build(t.Context(), published, filepath.Join(published, "bin"), programs.Target{Architecture: runtime.GOARCH},
		map[string]string{smallImage: smallPackage}, &log)).To(Succeed(), log.String)

	digest := smallDigest(t, first)
	g.Expect(smallDigest(t, second)).To(Equal(digest), "two folders give two images")
	g.Expect(smallDigest(t, published)).To(Equal(digest), "the Makefile and tools/programs build with different flags")
}
