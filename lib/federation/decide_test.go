package federation_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

func TestDecide(t *testing.T) {
	ours, theirs := &federation.State{Managed: true}, &federation.State{}
	leaving := &federation.State{Managed: true, Deleting: true}
	for name, test := range map[string]struct {
		wanted bool
		found  *federation.State
		same   bool
		want   federation.Step
	}{
		"a missing object is created":                           {true, nil, false, federation.Create},
		"an unwanted object that does not exist needs nothing":  {false, nil, false, federation.Leave},
		"an object that is as wanted is left alone":             {true, ours, true, federation.Leave},
		"an object that differs is updated":                     {true, ours, false, federation.Update},
		"an unwanted object is deleted":                         {false, ours, false, federation.Delete},
		"an object of another owner is never changed":           {false, theirs, false, federation.Leave},
		"an object of another owner retains a wanted name":      {true, theirs, false, federation.NameConflict},
		"an object of another owner retains it even when equal": {true, theirs, true, federation.NameConflict},
		"a wanted object waits while its namesake is deleted":   {true, leaving, false, federation.Leave},
		"an object that is being deleted is not deleted again":  {false, leaving, false, federation.Leave},
	} {
		t.Run(name, func(t *testing.T) {
			if got := federation.Decide(test.wanted, test.found, func() bool { return test.same }); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
