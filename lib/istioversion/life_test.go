package istioversion

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const week = 7 * 24 * time.Hour

// How Istio's makers publish and support minors, as versions.yaml explains.
const (
	cadence = 13 * week
	support = 6 * week
)

func TestTheEndOfLifeIsAlwaysADate(t *testing.T) {
	for _, v := range All() {
		if v.Released.IsZero() || !v.EndOfLife.Date.After(v.Released.Time) {
			t.Errorf("%s was released %s and ends %s", v.Version, v.Released, v.EndOfLife)
		}
	}
	var parsed []Version
	for _, wrong := range []string{`""`, "soon", `"2026-10"`, "20261015", "null"} {
		if err := yaml.UnmarshalStrict([]byte(`[{version: "1.31", endOfLife: {date: `+wrong+`}}]`), &parsed); err == nil {
			t.Errorf("%s is taken for a date", wrong)
		}
	}
}

// The newest minor is the last that is known; those after it are expected at the cadence.
func TestAnEstimatedEndOfLifeFollowsFromTheReleases(t *testing.T) {
	for i, v := range All() {
		if !v.EndOfLife.Estimated {
			continue
		}
		missing := 2 - i // minors until the second one after v, from the newest on
		if missing < 0 {
			t.Errorf("%s: the second minor after it is published, so its end of life is no estimate", v.Version)
			continue
		}
		if want := All()[0].Released.Add(time.Duration(missing)*cadence + support); !v.EndOfLife.Date.Equal(want) {
			t.Errorf("the end of life of %s is estimated for %s, want %s", v.Version, v.EndOfLife.Date, want.Format(time.DateOnly))
		}
	}
}

func TestEndOfLife(t *testing.T) {
	end := EndOfLife{Date: Date{time.Date(2026, time.October, 15, 0, 0, 0, 0, time.UTC)}}
	for name, test := range map[string]struct {
		now        time.Time
		near, past bool
	}{
		"more than thirty days ahead":         {time.Date(2026, time.September, 15, 23, 59, 59, 0, time.UTC), false, false},
		"thirty days ahead":                   {time.Date(2026, time.September, 16, 0, 0, 0, 0, time.UTC), true, false},
		"the last day still has support":      {time.Date(2026, time.October, 15, 23, 59, 59, 0, time.UTC), true, false},
		"the day after has none":              {time.Date(2026, time.October, 16, 0, 0, 0, 0, time.UTC), true, true},
		"the day is one of UTC, not anywhere": {time.Date(2026, time.October, 16, 1, 0, 0, 0, time.FixedZone("", 3*3600)), true, false},
	} {
		if near, past := end.Near(test.now), end.Past(test.now); near != test.near || past != test.past {
			t.Errorf("%s: near %v, past %v", name, near, past)
		}
	}
}

func TestAWarningNamesTheDateAndWhereToGo(t *testing.T) {
	at := func(date string) time.Time {
		t.Helper()
		now, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	date := func(text string) Date { return Date{at(text)} }
	old := Version{Version: "1.29", EndOfLife: EndOfLife{Date: date("2026-10-15")}}
	estimated := Version{Version: "1.30", EndOfLife: EndOfLife{Date: date("2027-01-11"), Estimated: true}}
	farFuture := Default().EndOfLife.At().Add(week).Format(time.DateOnly)
	for name, test := range map[string]struct {
		version Version
		now     string
		want    []string
	}{
		"nothing while the end is far": {old, "2026-09-01", nil},
		"near":                         {old, "2026-10-01", []string{"Istio 1.29 reaches", "2026-10-15", "upgrade to " + Default().Version}},
		"past":                         {old, "2026-11-29", []string{"Istio 1.29 reached", "2026-10-15", "upgrade to " + Default().Version}},
		"an estimate is called one":    {estimated, "2027-01-01", []string{"2027-01-11 (estimated)"}},
		"no version is left in the whole release": {old, farFuture, []string{"update the module"}},
	} {
		got := test.version.LifeWarning(at(test.now))
		if len(test.want) == 0 && got != "" {
			t.Errorf("%s: %q", name, got)
		}
		for _, part := range test.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", name, got, part)
			}
		}
	}
}
