package attestation

import (
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Types of what is attached.
const (
	SBOMType       types.MediaType = "application/spdx+json"
	StatementType  types.MediaType = "application/vnd.in-toto+json"
	provenanceType                 = "https://slsa.dev/provenance/v1"
	predicateKey                   = "in-toto.io/predicate-type"
)

// Attachments returns what belongs to the image of that manifest: its SBOM and its provenance.
func Attachments(of Subject, manifest v1.Descriptor) ([]v1.Image, error) {
	sbom, err := SBOM(of)
	if err != nil {
		return nil, fmt.Errorf("SBOM of %s: %w", of.Name, err)
	}
	provenance, err := Provenance(of)
	if err != nil {
		return nil, fmt.Errorf("provenance of %s: %w", of.Name, err)
	}
	first, firstErr := artifact(sbom, SBOMType, nil, manifest)
	second, secondErr := artifact(provenance, StatementType, map[string]string{predicateKey: provenanceType}, manifest)
	return []v1.Image{first, second}, errors.Join(firstErr, secondErr)
}

// artifact of one document. The type of its configuration is the artifact's (OCI 1.1,
// "guidelines for artifact usage"), which older registries store, too.
func artifact(content []byte, mediaType types.MediaType, annotations map[string]string, subject v1.Descriptor) (v1.Image, error) {
	made, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer(content, mediaType), Annotations: annotations,
	})
	if err != nil {
		return nil, err
	}
	made = mutate.ConfigMediaType(made, mediaType)
	about := v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}
	// In this order: annotating an image drops its subject.
	attached, ok := mutate.Subject(mutate.Annotations(made, annotations), about).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("make an artifact of type %s: the library made no image of it", mediaType)
	}
	return attached, nil
}
