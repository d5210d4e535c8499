package settings

import (
	"errors"
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

func TestVersionsThatAReleaseDroppedStandInNobodysWay(t *testing.T) {
	newer, dropped := "99.0", "1.25"
	for name, test := range map[string]struct {
		wanted, previous map[string]any
		rejected         bool
		tolerated        bool
	}{
		"a global version that there never was":                 {map[string]any{"globalVersion": newer}, nil, true, false},
		"one that there was, for who knows what was set before": {map[string]any{"globalVersion": dropped}, map[string]any{}, true, true},
		"one that was accepted before": {
			map[string]any{"globalVersion": dropped, "tlsMode": "Mutual"}, map[string]any{"globalVersion": dropped}, false, false},
		"another one than was accepted before":            {map[string]any{"globalVersion": "1.21"}, map[string]any{"globalVersion": dropped}, true, true},
		"an additional version that was there, a new one": {map[string]any{"additionalVersions": []any{dropped}}, nil, true, true},
		"an additional version that was accepted before": {
			map[string]any{"additionalVersions": []any{"1.31", dropped}}, map[string]any{"additionalVersions": []any{dropped}}, false, false},
	} {
		problems := Check(test.wanted, test.previous, time.Now())
		if (len(problems) == 1) != test.rejected {
			t.Errorf("%s: got %v", name, problems)
			continue
		}
		if test.rejected && errors.As(problems[0], new(Tolerated)) != test.tolerated {
			t.Errorf("%s: %v is tolerated or not", name, problems[0])
		}
		if test.rejected && !strings.Contains(problems[0].Error(), "choose "+istioversion.Default().Version) {
			t.Errorf("%s: %v does not say what to choose", name, problems[0])
		}
	}
	warnings := Warnings(map[string]any{"globalVersion": dropped}, istioversion.Default().Released.AddDate(0, 0, 1))
	want := "globalVersion: there is no Istio 1.25 in this release of the module: choose " + strings.Join(istioversion.Names(), ", ") + "; what is installed stays"
	if len(warnings) != 1 || warnings[0] != want {
		t.Errorf("got %q, want %q", warnings, want)
	}
}
