package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/deckhouse-mesh/istio/tools/attestation"
)

// attached is what belongs to an image of one platform, as far as it is checked.
type attached struct {
	sbom struct {
		SPDXVersion string
		Packages    []struct {
			Checksums    []struct{ ChecksumValue string }
			ExternalRefs []struct{ ReferenceLocator string }
		}
	}
	provenance struct {
		Subject   []struct{ Digest map[string]string }
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct{ Digest map[string]string }
			}
		}
	}
}

// readAttached asks the registry what refers to the image.
func readAttached(ctx context.Context, repository *remote.Repository, image ocispec.Descriptor) (attached, error) {
	var found attached
	for artifactType, document := range map[string]any{
		string(attestation.SBOMType): &found.sbom, string(attestation.StatementType): &found.provenance,
	} {
		listed, err := registry.Referrers(ctx, repository, image, artifactType)
		if err != nil {
			return found, fmt.Errorf("ask what is attached to it: %w", err)
		}
		if len(listed) != 1 {
			return found, fmt.Errorf("%d documents of type %s are attached to it, want 1", len(listed), artifactType)
		}
		var manifest ocispec.Manifest
		if err := fetch(ctx, repository, listed[0], &manifest); err != nil {
			return found, err
		}
		if len(manifest.Layers) != 1 {
			return found, fmt.Errorf("what is attached to it as %s has %d layers", artifactType, len(manifest.Layers))
		}
		if err := fetch(ctx, repository, manifest.Layers[0], document); err != nil {
			return found, err
		}
	}
	return found, nil
}

// describe checks that the documents are about the image, of that commit.
func (a attached) describe(image ocispec.Descriptor, revision string, hasPrograms bool) error {
	var failed []error
	hex, aboutIt, listsGo := image.Digest.Encoded(), false, false
	for _, listed := range a.sbom.Packages {
		for _, checksum := range listed.Checksums {
			aboutIt = aboutIt || checksum.ChecksumValue == hex
		}
		for _, reference := range listed.ExternalRefs {
			listsGo = listsGo || strings.HasPrefix(reference.ReferenceLocator, "pkg:golang/stdlib@")
		}
	}
	if !strings.HasPrefix(a.sbom.SPDXVersion, "SPDX-2.") || !aboutIt {
		failed = append(failed, errors.New("its SBOM is not an SPDX document about it"))
	}
	if hasPrograms && !listsGo {
		failed = append(failed, errors.New("its SBOM does not list what its programs were built from"))
	}
	if !slices.ContainsFunc(a.provenance.Subject, func(s struct{ Digest map[string]string }) bool { return s.Digest["sha256"] == hex }) {
		failed = append(failed, errors.New("its provenance is about another image"))
	}
	sources := a.provenance.Predicate.BuildDefinition.ResolvedDependencies
	if !slices.ContainsFunc(sources, func(s struct{ Digest map[string]string }) bool { return s.Digest["gitCommit"] == revision }) {
		failed = append(failed, fmt.Errorf("its provenance does not name the commit %s of its label", revision))
	}
	return errors.Join(failed...)
}
