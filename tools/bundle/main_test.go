package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

const realRoot = "../.."

// fakeProject has small files wherever the bundle takes some from.
func fakeProject(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	all := slices.Concat(files, []string{"bin/istio-hooks", "bin/operator-bundled", "crds/operator/module-config.yaml",
		"crds/istio/all.yaml", "global-hooks/openapi/values.yaml"})
	for _, folder := range folders {
		all = append(all, folder+"/below/file.yaml")
	}
	for _, file := range all {
		write(t, filepath.Join(root, file), "content of "+file)
	}
	write(t, filepath.Join(root, ".cache/images/images_digests.json"), `{"apiProxy": "sha256:1"}`)
	return root
}

func write(t *testing.T, file, content string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func lay(t *testing.T, root string, args ...string) (out string, err error) {
	t.Helper()
	out = t.TempDir()
	args = append([]string{"--root", root, "--out", out, "--images", filepath.Join(root, ".cache", "images")}, args...)
	return out, run(args, io.Discard)
}

func mustLay(t *testing.T, root string, args ...string) string {
	t.Helper()
	out, err := lay(t, root, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inFolder lists the files below a folder.
func inFolder(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		relative, relErr := filepath.Rel(dir, file)
		found[relative] = info.Mode().Perm()
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// image of a layout, by its reference, checked.
func image(t *testing.T, out, reference string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(filepath.Join(out, "images"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range manifest.Manifests {
		if listed.Annotations[oci.ReferenceAnnotation] == reference {
			found, err := index.Image(listed.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
	}
	t.Fatalf("%s is not in the layout", reference)
	return nil
}

// inImage lists the files of an image, unpacked as Deckhouse does.
func inImage(t *testing.T, of v1.Image) map[string]fs.FileMode {
	t.Helper()
	content := mutate.Extract(of)
	defer func() { _ = content.Close() }()
	found := map[string]fs.FileMode{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			found[header.Name] = fs.FileMode(header.Mode).Perm()
		}
	}
}

func TestTheFolderAndTheImageOfTheModuleAreTheSame(t *testing.T) {
	g := NewWithT(t)
	out := mustLay(t, fakeProject(t), "--version", "v1.2.3")
	module := image(t, out, "ghcr.io/deckhouse-mesh/istio:v1.2.3")
	g.Expect(validate.Image(module)).To(Succeed())
	found := inFolder(t, filepath.Join(out, "module"))
	g.Expect(inImage(t, module)).To(Equal(found))
	g.Expect(found).To(HaveKeyWithValue("hooks/istio-hooks", fs.FileMode(0o755)))
	g.Expect(found).To(HaveKeyWithValue("images_digests.json", fs.FileMode(0o644)))
	g.Expect(found).To(HaveKey("crds/istio/all.yaml"))
	g.Expect(found).NotTo(HaveKey("crds/operator/module-config.yaml"), "Deckhouse has its own")
}

func TestTheReleaseNamesTheVersion(t *testing.T) {
	g := NewWithT(t)
	out := mustLay(t, fakeProject(t), "--version", "v1.2.3", "--repository", "registry.example.com/modules/istio")
	release := image(t, out, "registry.example.com/modules/istio/release:v1.2.3")
	g.Expect(inImage(t, release)).To(And(HaveLen(2), HaveKey("version.json"), HaveKey("module.yaml")))
	raw, err := os.ReadFile(filepath.Join(out, "release", "version.json"))
	g.Expect(err).NotTo(HaveOccurred())
	var read map[string]string
	g.Expect(json.Unmarshal(raw, &read)).To(Succeed())
	g.Expect(read).To(Equal(map[string]string{"version": "v1.2.3"}))
}

func TestTheLabsOperatorHasTheWholeModule(t *testing.T) {
	g := NewWithT(t)
	out := mustLay(t, fakeProject(t))
	found := inImage(t, image(t, out, labOperator))
	for file, mode := range inFolder(t, filepath.Join(out, "module")) {
		g.Expect(found).To(HaveKeyWithValue(path.Join("modules/110-istio", file), mode))
	}
	g.Expect(found).To(And(HaveKey("operator"), HaveKey("crds/operator/module-config.yaml"), HaveKey("global-hooks/openapi/values.yaml")))
}

func TestTheSameInputsGiveTheSameBundle(t *testing.T) {
	g := NewWithT(t)
	root := fakeProject(t)
	first, second := image(t, mustLay(t, root), labOperator), image(t, mustLay(t, root), labOperator)
	one, err := first.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	other, err := second.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(one).To(Equal(other))
}

func TestWhatALastRunLeftInTheFolderIsGone(t *testing.T) {
	g := NewWithT(t)
	root := fakeProject(t)
	out := mustLay(t, root)
	write(t, filepath.Join(out, "module", "templates", "old.yaml"), "of a former version")
	g.Expect(run([]string{"--root", root, "--out", out, "--images", filepath.Join(root, ".cache", "images")}, io.Discard)).To(Succeed())
	g.Expect(inFolder(t, filepath.Join(out, "module"))).NotTo(HaveKey("templates/old.yaml"))
}

func TestWithoutDigestsThereIsNoBundle(t *testing.T) {
	root := fakeProject(t)
	if err := os.Remove(filepath.Join(root, ".cache", "images", "images_digests.json")); err != nil {
		t.Fatal(err)
	}
	_, err := lay(t, root)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("run `make images`")))
}

func TestAVersionThatDeckhouseWouldRejectIsRejected(t *testing.T) {
	_, err := lay(t, fakeProject(t), "--version", "1.2")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("write it like v1.2.3")))
}

// TestReleasesHaveTheSameContents compares with what werf puts into the image.
func TestReleasesHaveTheSameContents(t *testing.T) {
	g := NewWithT(t)
	raw, err := os.ReadFile(filepath.Join(realRoot, ".werf", "bundle.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	text := regexp.MustCompile(`(?m)^from: .*$`).ReplaceAllString(string(raw), "")
	var described struct {
		Git    []struct{ IncludePaths []string }
		Import []struct{ To string }
	}
	_, document, found := strings.Cut(text, "---")
	g.Expect(found).To(BeTrue())
	g.Expect(yaml.Unmarshal([]byte(document), &described)).To(Succeed())
	var theirs []string
	for _, source := range described.Git {
		theirs = append(theirs, source.IncludePaths...)
	}
	for _, imported := range described.Import {
		theirs = append(theirs, strings.TrimPrefix(imported.To, "/"))
	}
	theirs = slices.DeleteFunc(theirs, func(name string) bool { return name == "crds/istio" }) // within crds
	g.Expect(slices.Concat(files, folders, []string{hooksProgram, oci.DigestsFile})).To(ConsistOf(theirs))
}

func TestTheModuleIsPushedForBothPlatforms(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	root := fakeProject(t)
	b := bundle{
		root: root, images: filepath.Join(root, ".cache", "images"), name: "istio", version: "v1.2.3", revision: strings.Repeat("a", 40),
		repository: strings.TrimPrefix(server.URL, "http://") + "/modules/istio",
		compile: func(_ context.Context, _, out string, _ programs.Target, packages map[string]string, _ io.Writer) error {
			self, err := os.Executable()
			for name := range packages {
				err = errors.Join(err, os.MkdirAll(out, 0o755), os.Symlink(self, filepath.Join(out, name)))
			}
			return err
		},
	}
	g.Expect(b.publish(t.Context(), t.TempDir(), true, io.Discard)).To(Succeed())
	for tag, file := range map[string]string{":v1.2.3": hooksProgram, "/release:v1.2.3": "version.json"} {
		reference, err := name.ParseReference(b.repository + tag)
		g.Expect(err).NotTo(HaveOccurred())
		index, err := remote.Index(reference)
		g.Expect(err).NotTo(HaveOccurred())
		listed, err := index.IndexManifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(listed.Manifests).To(HaveLen(2))
		for _, manifest := range listed.Manifests {
			one, err := index.Image(manifest.Digest)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(inImage(t, one)).To(HaveKey(file))
		}
	}
}
