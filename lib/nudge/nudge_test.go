package nudge_test

import (
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/nudge"
)

func TestTime(t *testing.T) {
	written := time.Date(2026, 11, 30, 12, 0, 0, 123_000_000, time.UTC)
	for value, want := range map[string]time.Time{
		nudge.Value("0123456789ab.-", written):            written,
		nudge.Value("-.-", written.Add(time.Millisecond)): written.Add(time.Millisecond),
		"0123456789ab.0123456789ab":                       {},
		"0123456789ab.0123456789ab.":                      {},
		"0123456789ab.0123456789ab.MI8X2K9Z":              {},
		"0123456789ab.0123456789ab.mi8x2k9z.1":            {},
		"0123456789ab.0123456789ab.zzzzzzzzzzzzz":         {},
		"0123456789ab.0123456789ab.-1":                    {},
		"mi8x2k9z":                                        {},
		"":                                                {},
	} {
		if at, nudged := nudge.Time(value); !at.Equal(want) || nudged == want.IsZero() {
			t.Errorf("%q: %s, %t", value, at, nudged)
		}
	}
}
