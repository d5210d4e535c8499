package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

func TestVersionsNearTheirEndOfLifeGetAWarning(t *testing.T) {
	newest, oldest := istioversion.Default(), istioversion.All()[len(istioversion.All())-1]
	inSupport := newest.Released.AddDate(0, 0, 1)
	afterTheOldest := oldest.EndOfLife.At()
	afterAll := newest.EndOfLife.At()
	for name, test := range map[string]struct {
		settings map[string]any
		now      time.Time
		want     []string
	}{
		"none while all are in support": {map[string]any{"globalVersion": oldest.Version, "additionalVersions": []any{newest.Version}}, inSupport, nil},
		"a global version":              {map[string]any{"globalVersion": oldest.Version}, afterTheOldest, []string{oldest.Version}},
		"an additional version": {
			map[string]any{"additionalVersions": []any{oldest.Version}}, afterTheOldest, []string{oldest.Version}},
		"a version named twice, once": {
			map[string]any{"globalVersion": oldest.Version, "additionalVersions": []any{oldest.Version}}, afterTheOldest, []string{oldest.Version}},
		"the default, which settings need not name": {nil, afterAll, []string{newest.Version}},
		"not one that is not there":                 {map[string]any{"globalVersion": "1.4"}, afterAll, nil},
		"not what cannot be read":                   {map[string]any{"globalVersion": 1.31}, afterAll, nil},
	} {
		got := Warnings(test.settings, test.now)
		if len(got) != len(test.want) {
			t.Errorf("%s: got %q, want warnings of %v", name, got, test.want)
			continue
		}
		for i, version := range test.want {
			if !strings.HasPrefix(got[i], "Istio "+version+" ") {
				t.Errorf("%s: %q is not of %s", name, got[i], version)
			}
		}
	}
}
