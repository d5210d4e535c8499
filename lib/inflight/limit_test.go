package inflight_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/lib/inflight"
)

func acquire(t *testing.T, limit *inflight.Limit, caller string, want bool) (release func()) {
	t.Helper()
	release, reached := limit.Take(caller)
	if ok := reached == inflight.None; ok != want {
		t.Fatalf("Take(%s) = %v, want %v", caller, ok, want)
	}
	return release
}

func TestEachCallerHasItsOwnLimit(t *testing.T) {
	limit := inflight.NewLimit(0, 2)
	release := acquire(t, limit, "b", true)
	acquire(t, limit, "b", true)
	acquire(t, limit, "b", false)
	acquire(t, limit, "c", true)
	release()
	release() // counts once
	acquire(t, limit, "b", true)
	acquire(t, limit, "b", false)
}

func TestAllCallersHaveALimitTogether(t *testing.T) {
	limit := inflight.NewLimit(3, 2)
	acquire(t, limit, "b", true)
	release := acquire(t, limit, "b", true)
	acquire(t, limit, "c", true)
	acquire(t, limit, "d", false)
	release()
	acquire(t, limit, "d", true)
	acquire(t, limit, "c", false)
}
