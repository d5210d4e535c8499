package attestation

import "encoding/json"

// buildType names what `make images` and `make bundle` do, and what their parameters mean.
const buildType = source + "/tools/images@v1"

type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     provenance   `json:"predicate"`
}

type descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	ResolvedDependencies []descriptor      `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder map[string]string `json:"builder"`
}

// Provenance returns an in-toto statement with SLSA's predicate: from which revision
// of the source the image was built, and with which parameters. It is not signed: who
// signs it vouches for it.
func Provenance(of Subject) ([]byte, error) {
	return json.MarshalIndent(statement{
		Type:          "https://in-toto.io/Statement/v1",
		Subject:       []descriptor{{Name: of.Repository + "/" + of.Name, Digest: map[string]string{"sha256": of.Digest.Hex}}},
		PredicateType: provenanceType,
		Predicate: provenance{
			BuildDefinition: buildDefinition{
				BuildType:          buildType,
				ExternalParameters: map[string]string{"image": of.Name, "platform": of.Platform, "version": of.Version},
				ResolvedDependencies: []descriptor{{
					URI: "git+" + source + "@" + of.Revision, Digest: map[string]string{"gitCommit": of.Revision},
				}},
			},
			RunDetails: runDetails{Builder: map[string]string{"id": source + "/Makefile"}},
		},
	}, "", "  ")
}
