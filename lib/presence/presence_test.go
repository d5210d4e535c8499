package presence_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/presence"
)

func federation(name, uid string) presence.Resource {
	return presence.Resource{Kind: "IstioFederation", Name: name, UID: types.UID(uid)}
}

func multicluster(name, uid string) presence.Resource {
	return presence.Resource{Kind: "IstioMulticluster", Name: name, UID: types.UID(uid)}
}

func TestAResourceIsThereWhileTheVeryOneExists(t *testing.T) {
	existing := presence.Of(federation("b", "1"), multicluster("c", "2"))
	for name, test := range map[string]struct {
		existing presence.Resources
		wanted   presence.Resource
		want     bool
	}{
		"the very one":                               {existing, federation("b", "1"), true},
		"the very one of the other kind":             {existing, multicluster("c", "2"), true},
		"one whose UID was not written down":         {existing, federation("b", ""), true},
		"the predecessor of the same name":           {existing, federation("b", "0"), false},
		"a namesake of the other kind":               {existing, multicluster("b", "1"), false},
		"a namesake of the other kind, without UID":  {existing, multicluster("b", ""), false},
		"one that never was":                         {existing, federation("d", "4"), false},
		"one that never was, without UID":            {existing, federation("d", ""), false},
		"the name with the UID of another":           {existing, federation("b", "2"), false},
		"one in capitals":                            {existing, federation("B", "1"), false},
		"one without a name":                         {existing, federation("", ""), false},
		"any where nothing is known yet":             {presence.Resources{}, federation("b", "1"), false},
		"any where nothing is known yet, not by UID": {presence.Resources{}, federation("b", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.existing.Have(test.wanted); got != test.want {
				t.Errorf("Have(%s, UID %q) = %t", test.wanted, test.wanted.UID, got)
			}
		})
	}
}

func TestResourcesAreEqualWhenTheSameAreThere(t *testing.T) {
	existing := presence.Of(federation("b", "1"), multicluster("c", "2"))
	for name, test := range map[string]struct {
		other presence.Resources
		want  bool
	}{
		"the same in another order":   {presence.Of(multicluster("c", "2"), federation("b", "1")), true},
		"one less":                    {presence.Of(federation("b", "1")), false},
		"one more":                    {presence.Of(federation("b", "1"), multicluster("c", "2"), federation("d", "3")), false},
		"one has a successor":         {presence.Of(federation("b", "1"), multicluster("c", "3")), false},
		"one is of the other kind":    {presence.Of(federation("b", "1"), federation("c", "2")), false},
		"none":                        {presence.Resources{}, false},
		"as many, but not those ones": {presence.Of(federation("d", "1"), multicluster("e", "2")), false},
	} {
		t.Run(name, func(t *testing.T) {
			if existing.Equal(test.other) != test.want || test.other.Equal(existing) != test.want {
				t.Errorf("Equal() = %t", !test.want)
			}
		})
	}
	if !(presence.Resources{}).Equal(presence.Of()) {
		t.Error("none is not none")
	}
}
