package federation_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

func TestDecide(t *testing.T) {
	ours, theirs := &federation.Presence{Managed: true}, &federation.Presence{}
	leaving := &federation.Presence{Managed: true, Deleting: true}
	for name, test := range map[string]struct {
		wanted bool
		found  *federation.Presence
		same   bool
		want   federation.Step
	}{
		"what is wanted and not there is created":            {true, nil, false, federation.Create},
		"what nobody wants and is not there needs nothing":   {false, nil, false, federation.Leave},
		"what is as wanted is left alone":                    {true, ours, true, federation.Leave},
		"what differs is brought to what is wanted":          {true, ours, false, federation.Bring},
		"what nobody wants is removed":                       {false, ours, false, federation.Remove},
		"what is somebody else's is never touched":           {false, theirs, false, federation.Leave},
		"what is somebody else's keeps a wanted name":        {true, theirs, false, federation.Taken},
		"what is somebody else's keeps it even when equal":   {true, theirs, true, federation.Taken},
		"what is on its way out is waited for when wanted":   {true, leaving, false, federation.Leave},
		"what is on its way out is not removed another time": {false, leaving, false, federation.Leave},
	} {
		t.Run(name, func(t *testing.T) {
			if got := federation.Decide(test.wanted, test.found, func() bool { return test.same }); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
