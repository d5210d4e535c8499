package main

import (
	"debug/elf"
	"encoding/binary"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/attestation"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

const version = "v1.2.3"

// revision is a commit.
var revision = strings.Repeat("a", 40)

// program is the beginning of an ELF file.
func program(machine elf.Machine) []byte {
	header := make([]byte, 64)
	copy(header, elf.ELFMAG)
	binary.LittleEndian.PutUint16(header[18:], uint16(machine))
	return header
}

// publication is what a test pushes: one image that is fit to publish, until the test changes it.
type publication struct {
	images []oci.Image
	// documented is what its SBOM and its provenance say they are about.
	documented attestation.Subject
	// without SBOM and provenance.
	bare bool
	// olderRegistry knows nothing of referrers, as those before OCI 1.1.
	olderRegistry bool
	// pushedAs is the tag.
	pushedAs string
	limit    int64
}

func fit(t *testing.T) *publication {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &publication{pushedAs: version + "-api-proxy", limit: 1000, documented: attestation.Subject{
		Name: "api-proxy", Version: version, Revision: revision, Programs: []string{self},
	}}
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		p.images = append(p.images, oci.Image{
			Name: "api-proxy", Architecture: architecture,
			Layers: [][]oci.Entry{{{Path: "usr/local/bin/api-proxy", Mode: 0o755, Content: program(machine)}}},
			Config: v1.Config{User: "64535:64535", Entrypoint: []string{"/usr/local/bin/api-proxy"}, Labels: map[string]string{
				"org.opencontainers.image.version": version, "org.opencontainers.image.revision": revision,
			}},
		})
	}
	return p
}

// push it to a registry, and check what is there.
func (p *publication) check(t *testing.T) (listed string, err error) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(!p.olderRegistry)))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/mesh/istio"
	folder := t.TempDir()
	layout, err := oci.NewPublication(filepath.Join(folder, "images"))
	if err != nil {
		t.Fatal(err)
	}
	p.images[0].References = []string{repository + ":" + p.pushedAs}
	_, err = layout.Add(p.images, func(image oci.Image, manifest v1.Descriptor) ([]v1.Image, error) {
		if p.bare {
			return nil, nil
		}
		about := p.documented
		about.Digest, about.Platform = manifest.Digest, "linux/"+image.Architecture
		return attestation.Attachments(about, manifest)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := layout.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	err = check(t.Context(), folder, repository, p.limit, &log)
	return log.String(), err
}

func TestImagesFitToPublishAreListed(t *testing.T) {
	for name, older := range map[string]bool{"by a registry that lists what is attached": false, "by an older registry": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := fit(t)
			p.olderRegistry = older
			listed, err := p.check(t)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(listed).To(MatchRegexp(`/mesh/istio:v1\.2\.3-api-proxy +linux/amd64 +0\.0 +1 +\d\d+ +sha256:`))
			g.Expect(listed).To(MatchRegexp(`/mesh/istio:v1\.2\.3-api-proxy +linux/arm64 +0\.0 +1 +\d\d+ +sha256:`))
		})
	}
}

func TestWhatIsNotFitToPublishIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*publication)
		want   string
	}{
		"an image for one platform": {func(p *publication) { p.images = p.images[:1] }, `not on ["amd64" "arm64"]`},
		"a program for another platform": {func(p *publication) {
			p.images[0].Layers, p.images[1].Layers = p.images[1].Layers, p.images[0].Layers
		}, "usr/local/bin/api-proxy is a program for"},
		"root":                     {func(p *publication) { p.images[0].Config.User = "" }, `its user is ""`},
		"a user by name":           {func(p *publication) { p.images[0].Config.User = "deckhouse" }, `its user is "deckhouse"`},
		"nothing to start":         {func(p *publication) { p.images[1].Config.Entrypoint = nil }, "it starts []"},
		"a label without a commit": {func(p *publication) { p.images[0].Config.Labels["org.opencontainers.image.revision"] = "main" }, `is "main", not a commit`},
		"the tag of another version": {func(p *publication) { p.pushedAs = "v1.3.0-api-proxy" },
			`org.opencontainers.image.version is "v1.2.3", which its tag does not begin with`},
		"no SBOM and no provenance":      {func(p *publication) { p.bare = true }, "0 documents of type application/"},
		"a provenance of another commit": {func(p *publication) { p.documented.Revision = strings.Repeat("b", 40) }, "does not name the commit aaaa"},
		"an SBOM without modules":        {func(p *publication) { p.documented.Programs = nil }, "does not list what its programs were built from"},
		"too large an image":             {func(p *publication) { p.limit = 10 }, "compressed, and may have 10"},
		"an image that the module asks for and nobody pushed": {func(p *publication) {
			p.images[0].Layers[0] = append(p.images[0].Layers[0], oci.Text("modules/110-istio/"+oci.DigestsFile, `{"kiali": "sha256:`+strings.Repeat("2", 64)+`"}`))
		}, "the module asks for kiali by its digest"},
	} {
		t.Run(name, func(t *testing.T) {
			p := fit(t)
			c.change(p)
			_, err := p.check(t)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.want)))
		})
	}
}

func TestTheCommandPushesIntoARegistryOnLoopback(t *testing.T) {
	g := NewWithT(t)
	written := filepath.Join(t.TempDir(), "repository")
	root := t.TempDir()
	_, err := oci.NewPublication(filepath.Join(root, ".cache", "publish", "images"))
	g.Expect(err).NotTo(HaveOccurred())
	err = run(t.Context(), []string{"--root", root, "sh", "-c", "echo $REGISTRY > " + written}, new(strings.Builder))
	g.Expect(err).To(MatchError(ContainSubstring("nothing in "+filepath.Join(root, ".cache", "publish"))), "the command has pushed nothing")
	g.Expect(os.ReadFile(written)).To(ContainSubstring("127.0.0.1:"))

	g.Expect(run(t.Context(), []string{"--root", root, "false"}, new(strings.Builder))).To(MatchError(ContainSubstring(`by "false"`)))
}

func TestWithoutLayoutsItSaysWhatToRun(t *testing.T) {
	err := run(t.Context(), []string{"--root", t.TempDir(), "--repository", "registry.example.com/mesh/istio"}, new(strings.Builder))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("run `make images REGISTRY=registry.example.com/mesh/istio`")))
	NewWithT(t).Expect(run(t.Context(), nil, new(strings.Builder))).To(MatchError(ContainSubstring("name either")))
}
