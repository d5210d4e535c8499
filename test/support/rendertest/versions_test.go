package rendertest

import (
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// TestEveryVersionOfTheTableIsRendered: one that the tests' values lack would be compared with nothing. Patches
// may differ, so that a new one changes the table and nothing else.
func TestEveryVersionOfTheTableIsRendered(t *testing.T) {
	type version struct {
		Version     string `json:"version"`
		Revision    string `json:"revision"`
		ImageSuffix string `json:"imageSuffix"`
	}
	var values struct {
		Versions []version `json:"versions"`
	}
	if err := yaml.Unmarshal(internalValues, &values); err != nil {
		t.Fatal(err)
	}
	var want []version
	var wantRevisions []string
	for _, v := range istioversion.All() {
		want = append(want, version{v.Version, v.Revision(), v.ImageSuffix()})
		wantRevisions = append(wantRevisions, v.Revision())
	}
	if !slices.Equal(values.Versions, want) {
		t.Errorf("testdata/internal-values.yaml has the versions %v, and lib/istioversion %v", values.Versions, want)
	}
	if !slices.Equal(revisions, wantRevisions) {
		t.Errorf("the tests are about the revisions %v, and lib/istioversion has %v", revisions, wantRevisions)
	}
}
