package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

const realRoot = "../.."

func startRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestEveryImageOfOthersIsListed(t *testing.T) {
	g := NewWithT(t)
	var log strings.Builder
	g.Expect(run(t.Context(), []string{"--root", realRoot}, &log)).To(Succeed())
	for _, version := range istioversion.All() {
		for _, image := range []string{"pilot", "proxyv2"} {
			g.Expect(log.String()).To(ContainSubstring(image + version.ImageSuffix() + "\tdocker.io/istio/" + image + ":" + version.Full() + "-distroless\n"))
		}
	}
	g.Expect(log.String()).To(ContainSubstring("kiali\tquay.io/kiali/kiali:"))
	g.Expect(log.String()).NotTo(ContainSubstring("apiProxy"), "ours are published by `make images`")
}

func TestImagesAreCopiedWholeAndWhatCannotBeIsNamed(t *testing.T) {
	g := NewWithT(t)
	source, target := startRegistry(t), startRegistry(t)
	// Only Istio's images can be had, for two platforms; Kiali's registry is another one.
	index, err := random.Index(64, 1, 2)
	g.Expect(err).NotTo(HaveOccurred())
	digest, err := index.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	images, err := wanted(realRoot)
	g.Expect(err).NotTo(HaveOccurred())
	copied := 0
	for _, image := range images {
		if strings.HasPrefix(image.reference, "docker.io/") {
			reference, err := name.ParseReference(elsewhere(image.reference, "docker.io="+source))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(remote.WriteIndex(reference, index)).To(Succeed())
			copied++
		}
	}
	for i, image := range images {
		if image.name == "kiali" {
			images[i].reference = source + "/kiali/kiali:v0"
		}
	}

	digests, err := copyAll(t.Context(), images, target+"/mesh/istio", "docker.io="+source, new(strings.Builder))
	g.Expect(err).To(MatchError(ContainSubstring("kiali/kiali:v0")))
	g.Expect(digests).To(HaveLen(copied))
	for _, copiedDigest := range digests {
		g.Expect(copiedDigest).To(Equal(digest.String()))
		reference, err := name.ParseReference(target + "/mesh/istio@" + copiedDigest)
		g.Expect(err).NotTo(HaveOccurred())
		found, err := remote.Index(reference)
		g.Expect(err).NotTo(HaveOccurred())
		manifest, err := found.IndexManifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(manifest.Manifests).To(HaveLen(2))
	}
}

func TestDigestsOfCopiesAreWritten(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "mirror", oci.DigestsFile)
	g.Expect(writeDigests(file, map[string]string{"kiali": "sha256:1"})).To(Succeed())
	raw, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	read := map[string]string{}
	g.Expect(json.Unmarshal(raw, &read)).To(Succeed())
	g.Expect(read).To(Equal(map[string]string{"kiali": "sha256:1"}))
}

func TestNamesInCamelCase(t *testing.T) {
	NewWithT(t).Expect(oci.CamelCase("proxyv2-v1x31")).To(Equal("proxyv2V1x31"))
}
