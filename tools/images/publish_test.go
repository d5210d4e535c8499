package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/attestation"
	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

// thisProgramInstead of compiling: any Go program has a list of the modules that it was built from.
func thisProgramInstead(_ context.Context, _, out string, _ programs.Target, packages map[string]string, _ io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for name := range packages {
		if err := errors.Join(os.MkdirAll(out, 0o755), os.Symlink(self, filepath.Join(out, name))); err != nil {
			return err
		}
	}
	return nil
}

// published is what a registry has after a publication, and the digests of the module's images.
type published struct {
	repository string
	digests    map[string]string
}

// copied is the digest of Kiali's image as `make images-mirror` has copied it.
var copied = "sha256:" + strings.Repeat("2", 64)

func publishAll(t *testing.T) published {
	t.Helper()
	root, built, out := fakeProject(t), t.TempDir(), t.TempDir()
	build(t, root, built)
	mirrored := filepath.Join(t.TempDir(), oci.DigestsFile)
	write(t, mirrored, `{"kiali": "`+copied+`"}`)
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	to := published{repository: strings.TrimPrefix(server.URL, "http://") + "/mesh/istio", digests: map[string]string{}}
	p := publication{
		project: project{root: root, stamp: stamp{version: "v1.2.3", revision: strings.Repeat("a", 40)}}, built: built, out: out,
		repository: to.repository, push: true, mirrored: mirrored, compile: thisProgramInstead,
	}
	if err := p.publish(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, oci.DigestsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &to.digests); err != nil {
		t.Fatal(err)
	}
	return to
}

func (p published) reference(t *testing.T, of string) name.Reference {
	t.Helper()
	reference, err := name.ParseReference(p.repository + of)
	if err != nil {
		t.Fatal(err)
	}
	return reference
}

func (p published) index(t *testing.T, of string) *v1.IndexManifest {
	t.Helper()
	index, err := remote.Index(p.reference(t, of))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

func TestPublishing(t *testing.T) {
	to := publishAll(t) // once: it compresses a dozen programs
	t.Run("our images are in the registry for both platforms", func(t *testing.T) { checkBothPlatforms(t, to) })
	t.Run("our images do not run as root, and say what they were built from", func(t *testing.T) { checkConfigurations(t, to) })
	t.Run("each platform has its SBOM and its provenance", func(t *testing.T) { checkAttachments(t, to) })
	t.Run("images of others are their makers' where they were mirrored", func(t *testing.T) { checkImagesOfOthers(t, to) })
}

func checkBothPlatforms(t *testing.T, to published) {
	t.Helper()
	g := NewWithT(t)
	for _, of := range []string{"@" + to.digests["apiProxy"], ":v1.2.3-metadata-exporter", "/operator:v1.2.3"} {
		var platforms []string
		for _, manifest := range to.index(t, of).Manifests {
			platforms = append(platforms, manifest.Platform.String())
		}
		g.Expect(platforms).To(ConsistOf("linux/amd64", "linux/arm64"))
	}
}

func checkConfigurations(t *testing.T, to published) {
	t.Helper()
	g := NewWithT(t)
	for _, of := range []string{"@" + to.digests["apiProxy"], "@" + to.digests["allianceHealthcheck"], "@" + to.digests["metadataExporter"], "/operator:v1.2.3"} {
		for _, manifest := range to.index(t, of).Manifests {
			repository, _, _ := strings.Cut(strings.TrimSuffix(of, ":v1.2.3"), "@")
			image, err := remote.Image(to.reference(t, repository+"@"+manifest.Digest.String()))
			g.Expect(err).NotTo(HaveOccurred())
			config, err := image.ConfigFile()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(config.Architecture).To(Equal(manifest.Platform.Architecture))
			g.Expect(config.Config.User).To(Equal("64535:64535"))
			g.Expect(config.Config.Labels).To(And(HaveKeyWithValue("org.opencontainers.image.version", "v1.2.3"),
				HaveKeyWithValue("org.opencontainers.image.revision", strings.Repeat("a", 40))))
		}
	}
}

// checkAttachments looks for them where clients do: in the repository that the image is in, which for the operator is one of its own.
func checkAttachments(t *testing.T, to published) {
	t.Helper()
	g := NewWithT(t)
	for of, repository := range map[string]string{"@" + to.digests["apiProxy"]: to.repository, "/operator:v1.2.3": to.repository + "/operator"} {
		for _, manifest := range to.index(t, of).Manifests {
			subject, err := name.NewDigest(repository + "@" + manifest.Digest.String())
			g.Expect(err).NotTo(HaveOccurred())
			referrers, err := remote.Referrers(subject)
			g.Expect(err).NotTo(HaveOccurred())
			listed, err := referrers.IndexManifest()
			g.Expect(err).NotTo(HaveOccurred())
			var kinds []string
			for _, each := range listed.Manifests {
				kinds = append(kinds, each.ArtifactType)
			}
			g.Expect(kinds).To(ConsistOf(string(attestation.SBOMType), string(attestation.StatementType)), of)
		}
	}
}

func checkImagesOfOthers(t *testing.T, to published) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(to.digests).To(HaveKeyWithValue("kiali", copied))
	// The others were built here, and are pushed as they are.
	image, err := remote.Image(to.reference(t, "@"+to.digests["pilotV1x31"]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(image.Digest()).To(HaveField("Hex", strings.TrimPrefix(to.digests["pilotV1x31"], "sha256:")))
}
