package attestation_test

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/attestation"
)

// thisProgram is a Go program that is there: the test itself.
func thisProgram(t *testing.T) string {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func subject(t *testing.T) attestation.Subject {
	t.Helper()
	digest, err := v1.NewHash("sha256:" + strings.Repeat("1", 64))
	if err != nil {
		t.Fatal(err)
	}
	return attestation.Subject{
		Name: "api-proxy", Repository: "registry.example.com/mesh/istio", Digest: digest, Platform: "linux/arm64", Version: "v1.2.3",
		Revision: strings.Repeat("a", 40), Programs: []string{thisProgram(t)}, Modules: []debug.Module{{Path: "istio.io/istio", Version: "v1"}},
	}
}

func TestTheSBOMListsWhatTheProgramsWereBuiltFrom(t *testing.T) {
	g := NewWithT(t)
	raw, err := attestation.SBOM(subject(t))
	g.Expect(err).NotTo(HaveOccurred())
	var document struct {
		SPDXVersion, DataLicense, SPDXID, Name, DocumentNamespace string
		Packages                                                  []struct {
			SPDXID, Name, VersionInfo, DownloadLocation string
			ExternalRefs                                []struct{ ReferenceLocator string }
		}
		Relationships []struct{ SpdxElementID, RelationshipType, RelatedSpdxElement string }
	}
	g.Expect(json.Unmarshal(raw, &document)).To(Succeed())
	g.Expect(document.SPDXVersion).To(Equal("SPDX-2.3"))
	g.Expect(document.SPDXID).To(Equal("SPDXRef-DOCUMENT"))
	ids := map[string]bool{"SPDXRef-DOCUMENT": true}
	var locators []string
	for _, each := range document.Packages {
		g.Expect(each.SPDXID).To(MatchRegexp(`^SPDXRef-[A-Za-z0-9.-]+$`))
		g.Expect(ids).NotTo(HaveKey(each.SPDXID), "identifiers are unique")
		ids[each.SPDXID] = true
		g.Expect(each.DownloadLocation).NotTo(BeEmpty())
		for _, reference := range each.ExternalRefs {
			locators = append(locators, reference.ReferenceLocator)
		}
	}
	for _, relation := range document.Relationships {
		g.Expect(ids).To(And(HaveKey(relation.SpdxElementID), HaveKey(relation.RelatedSpdxElement)))
	}
	g.Expect(locators).To(ContainElements(
		MatchRegexp(`^pkg:golang/stdlib@1\.`), Equal("pkg:golang/istio.io/istio@v1"), HavePrefix("pkg:oci/api-proxy@sha256:111")))
}

func TestTheSameImageHasTheSameDocuments(t *testing.T) {
	g := NewWithT(t)
	for _, make := range []func(attestation.Subject) ([]byte, error){attestation.SBOM, attestation.Provenance} {
		first, err := make(subject(t))
		g.Expect(err).NotTo(HaveOccurred())
		second, err := make(subject(t))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(first).To(Equal(second))
	}
}

func TestTheProvenanceNamesTheImageAndTheSource(t *testing.T) {
	g := NewWithT(t)
	raw, err := attestation.Provenance(subject(t))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(And(ContainSubstring(`"https://slsa.dev/provenance/v1"`), ContainSubstring(`"sha256": "1111`),
		ContainSubstring(`"gitCommit": "aaaa`), ContainSubstring(`"platform": "linux/arm64"`)))
}

func TestBothAreAttachedToTheImage(t *testing.T) {
	g := NewWithT(t)
	image, err := random.Image(64, 1)
	g.Expect(err).NotTo(HaveOccurred())
	manifest, err := partial.Descriptor(image)
	g.Expect(err).NotTo(HaveOccurred())
	attached, err := attestation.Attachments(subject(t), *manifest)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(attached).To(HaveLen(2))
	for _, artifact := range attached {
		its, err := artifact.Manifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(its.Subject.Digest).To(Equal(manifest.Digest))
		g.Expect(its.Layers).To(HaveLen(1))
		g.Expect(its.Config.MediaType).To(Equal(its.Layers[0].MediaType))
	}
}
