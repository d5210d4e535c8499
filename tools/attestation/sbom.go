// Package attestation says what is in an image and how it was made: an SBOM in SPDX 2.3
// and a provenance in SLSA 1, both JSON, attached to the image as artifacts whose subject it
// is (OCI 1.1). The same image gives the same documents, so they have no times.
package attestation

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Subject is an image of one platform.
type Subject struct {
	// Name of the image, Repository that it is published in.
	Name, Repository string
	Digest           v1.Hash
	// Platform like linux/amd64.
	Platform string
	// Version and Revision of this project's source.
	Version, Revision string
	// Programs are files of the Go programs in it.
	Programs []string
	// Modules are Go modules that other files in it were taken from.
	Modules []debug.Module
}

// The source that everything is built from.
const source = "https://github.com/deckhouse-mesh/istio"

// epoch in the form of SPDX: a document says when it was created, and is to be the same each time.
const epoch = "1970-01-01T00:00:00Z"

const (
	rootPackage  = "SPDXRef-image"
	noAssertion  = "NOASSERTION"
	describes    = "DESCRIBES"
	contains     = "CONTAINS"
	documentName = "SPDXRef-DOCUMENT"
)

type spdxDocument struct {
	SPDXVersion       string             `json:"spdxVersion"`
	DataLicense       string             `json:"dataLicense"`
	SPDXID            string             `json:"SPDXID"`
	Name              string             `json:"name"`
	DocumentNamespace string             `json:"documentNamespace"`
	CreationInfo      spdxCreation       `json:"creationInfo"`
	Packages          []spdxPackage      `json:"packages"`
	Relationships     []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	SPDXID           string          `json:"SPDXID"`
	Name             string          `json:"name"`
	VersionInfo      string          `json:"versionInfo,omitempty"`
	DownloadLocation string          `json:"downloadLocation"`
	FilesAnalyzed    bool            `json:"filesAnalyzed"`
	LicenseConcluded string          `json:"licenseConcluded"`
	LicenseDeclared  string          `json:"licenseDeclared"`
	CopyrightText    string          `json:"copyrightText"`
	PrimaryPurpose   string          `json:"primaryPackagePurpose"`
	Checksums        []spdxChecksum  `json:"checksums,omitempty"`
	ExternalRefs     []spdxReference `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// SBOM returns the SPDX document of the image.
func SBOM(of Subject) ([]byte, error) {
	image := newPackage(rootPackage, of.Name, of.Version, "CONTAINER", "")
	image.LicenseDeclared = "Apache-2.0"
	image.Checksums = []spdxChecksum{{"SHA256", of.Digest.Hex}}
	image.ExternalRefs = purl(fmt.Sprintf("pkg:oci/%s@%s?repository_url=%s", of.Name, of.Digest, of.Repository))
	document := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentName, Name: of.Name + " " + of.Platform,
		DocumentNamespace: fmt.Sprintf("%s/spdx/%s/%s", source, of.Name, of.Digest.Hex),
		CreationInfo:      spdxCreation{Created: epoch, Creators: []string{"Tool: " + source + "/tools/attestation"}},
		Packages:          []spdxPackage{image},
		Relationships:     []spdxRelationship{{documentName, describes, rootPackage}},
	}
	for _, file := range of.Programs {
		if err := document.addProgram(file, of.Version); err != nil {
			return nil, err
		}
	}
	for _, module := range of.Modules {
		document.add(rootPackage, modulePackage(module))
	}
	return json.MarshalIndent(document, "", "  ")
}

// addProgram and the modules that it was built from, which its file lists.
func (d *spdxDocument) addProgram(file, version string) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return fmt.Errorf("list the modules in %s: %w", file, err)
	}
	d.addBuild(filepath.Base(file), version, info)
	return nil
}

func (d *spdxDocument) addBuild(name, version string, info *buildinfo.BuildInfo) {
	program := newPackage(reference("program", name, ""), name, version, "APPLICATION", "")
	program.LicenseDeclared = "Apache-2.0"
	d.add(rootPackage, program)
	standard := newPackage(reference("go", "stdlib", info.GoVersion), "stdlib", strings.TrimPrefix(info.GoVersion, "go"), "LIBRARY", "https://go.dev/dl/"+info.GoVersion+".src.tar.gz")
	standard.ExternalRefs = purl("pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go"))
	d.add(program.SPDXID, standard)
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		d.add(program.SPDXID, modulePackage(*module))
	}
}

// add a package unless it is there, and that the other contains it.
func (d *spdxDocument) add(to string, added spdxPackage) {
	if !slices.ContainsFunc(d.Packages, func(p spdxPackage) bool { return p.SPDXID == added.SPDXID }) {
		d.Packages = append(d.Packages, added)
	}
	relation := spdxRelationship{to, contains, added.SPDXID}
	if !slices.Contains(d.Relationships, relation) {
		d.Relationships = append(d.Relationships, relation)
	}
}

func modulePackage(module debug.Module) spdxPackage {
	made := newPackage(reference("module", module.Path, module.Version), module.Path, module.Version, "LIBRARY", "")
	made.ExternalRefs = purl("pkg:golang/" + module.Path + "@" + module.Version)
	return made
}

func newPackage(id, name, version, purpose, location string) spdxPackage {
	return spdxPackage{
		SPDXID: id, Name: name, VersionInfo: version, PrimaryPurpose: purpose,
		DownloadLocation: cmp.Or(location, noAssertion), LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, CopyrightText: noAssertion,
	}
}

func purl(locator string) []spdxReference {
	return []spdxReference{{"PACKAGE-MANAGER", "purl", locator}}
}

var notInReferences = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// reference is an identifier in the form of SPDX.
func reference(kind, name, version string) string {
	return strings.TrimRight("SPDXRef-"+kind+"-"+notInReferences.ReplaceAllString(name+"-"+version, "-"), "-")
}
