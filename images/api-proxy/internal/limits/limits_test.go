package limits_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/limits"
)

func TestEachNeighbourHasItsOwnPlaces(t *testing.T) {
	places := limits.New(2)
	take := func(who string, want bool) func() {
		t.Helper()
		free, ok := places.Take(who)
		if ok != want {
			t.Fatalf("Take(%s) = %v, want %v", who, ok, want)
		}
		return free
	}
	free := take("b", true)
	take("b", true)
	take("b", false)
	take("c", true)
	free()
	free() // counts once
	take("b", true)
	take("b", false)
}
