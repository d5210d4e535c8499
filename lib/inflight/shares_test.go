package inflight_test

import (
	"fmt"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/inflight"
)

// flood takes all that the caller gets.
func flood(limit *inflight.Limit, caller string) (got int) {
	for {
		if _, reached := limit.Take(caller); reached != inflight.None {
			return got
		}
		got++
	}
}

func TestWhatIsGuaranteedToACallerNobodyTakes(t *testing.T) {
	for name, test := range map[string]struct {
		callers, hostile, guaranteed int
	}{
		"one floods":                 {2, 1, 100},
		"some flood":                 {10, 5, 50},
		"all others flood":           {11, 10, 45},
		"more flood than were known": {3, 40, 1},
	} {
		t.Run(name, func(t *testing.T) {
			limit := inflight.NewSharedLimit(inflight.Shares{Total: 1000, OfOne: 100, Callers: func() int { return test.callers }})
			total := 0
			for hostile := range test.hostile {
				got := flood(limit, fmt.Sprint("hostile-", hostile))
				if got > 100 {
					t.Errorf("a caller got %d", got)
				}
				total += got
			}
			honest := flood(limit, "honest")
			if honest < test.guaranteed {
				t.Errorf("the honest one got %d, of which %d are guaranteed", honest, test.guaranteed)
			}
			if total += honest; test.hostile < test.callers && total > 1000 {
				t.Errorf("all together got %d", total)
			}
		})
	}
}

func TestTheLimitThatACallerHasReachedIsKnown(t *testing.T) {
	limit := inflight.NewSharedLimit(inflight.Shares{Total: 8, OfOne: 4, Callers: func() int { return 4 }})
	for range 4 {
		if _, reached := limit.Take("a"); reached != inflight.None {
			t.Fatal("within its share")
		}
	}
	if _, reached := limit.Take("a"); reached != inflight.OfCaller {
		t.Errorf("beyond its own limit: %v", reached)
	}
	flood(limit, "b")
	flood(limit, "c")
	if got := flood(limit, "d"); got != 1 {
		t.Errorf("a caller that comes last has %d", got)
	}
	if _, reached := limit.Take("d"); reached != inflight.OfAll {
		t.Errorf("beyond what is guaranteed: %v", reached)
	}
}

func TestWhatIsReleasedIsFreeForOthers(t *testing.T) {
	limit := inflight.NewSharedLimit(inflight.Shares{Total: 4, OfOne: 4, Callers: func() int { return 2 }})
	var releases []func()
	for range 3 {
		release, _ := limit.Take("a")
		releases = append(releases, release)
	}
	if got := flood(limit, "b"); got != 1 {
		t.Fatalf("the second got %d", got)
	}
	releases[0]()
	if got := flood(limit, "b"); got != 1 {
		t.Errorf("after a release the second got %d more", got)
	}
}
