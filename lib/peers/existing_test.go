package peers_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

const (
	federationKind   = v1alpha1.IstioFederationKind
	multiclusterKind = v1alpha1.IstioMulticlusterKind
)

func federation(name, uid string) peers.Resource {
	return peers.Resource{Kind: federationKind, Name: name, UID: types.UID(uid)}
}

func multicluster(name, uid string) peers.Resource {
	return peers.Resource{Kind: multiclusterKind, Name: name, UID: types.UID(uid)}
}

func TestTheSetHasOnlyTheVeryResource(t *testing.T) {
	existing := peers.ExistingOf(federation("b", "1"), multicluster("c", "2"))
	for name, test := range map[string]struct {
		existing peers.Existing
		wanted   peers.Resource
		want     bool
	}{
		"the very one":                              {existing, federation("b", "1"), true},
		"the very one of the other kind":            {existing, multicluster("c", "2"), true},
		"one whose UID is not known":                {existing, federation("b", ""), true},
		"an earlier one of the same name":           {existing, federation("b", "0"), false},
		"a namesake of the other kind":              {existing, multicluster("b", "1"), false},
		"a namesake of the other kind, without UID": {existing, multicluster("b", ""), false},
		"one that has never existed":                {existing, federation("d", "4"), false},
		"one that has never existed, without UID":   {existing, federation("d", ""), false},
		"the name with the UID of another":          {existing, federation("b", "2"), false},
		"one in capitals":                           {existing, federation("B", "1"), false},
		"one without a name":                        {existing, federation("", ""), false},
		"any in an empty set":                       {peers.Existing{}, federation("b", "1"), false},
		"any in an empty set, without UID":          {peers.Existing{}, federation("b", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.existing.Has(test.wanted); got != test.want {
				t.Errorf("Has(%s, UID %q) = %t", test.wanted, test.wanted.UID, got)
			}
		})
	}
}

func TestSetsAreEqualWhenTheyHaveTheSameResources(t *testing.T) {
	existing := peers.ExistingOf(federation("b", "1"), multicluster("c", "2"))
	for name, test := range map[string]struct {
		other peers.Existing
		want  bool
	}{
		"the same in another order": {peers.ExistingOf(multicluster("c", "2"), federation("b", "1")), true},
		"one less":                  {peers.ExistingOf(federation("b", "1")), false},
		"one more":                  {peers.ExistingOf(federation("b", "1"), multicluster("c", "2"), federation("d", "3")), false},
		"one has a successor":       {peers.ExistingOf(federation("b", "1"), multicluster("c", "3")), false},
		"one is of the other kind":  {peers.ExistingOf(federation("b", "1"), federation("c", "2")), false},
		"none":                      {peers.Existing{}, false},
		"as many others":            {peers.ExistingOf(federation("d", "1"), multicluster("e", "2")), false},
	} {
		t.Run(name, func(t *testing.T) {
			if existing.Equal(test.other) != test.want || test.other.Equal(existing) != test.want {
				t.Errorf("Equal() = %t", !test.want)
			}
		})
	}
	if !(peers.Existing{}).Equal(peers.ExistingOf()) {
		t.Error("two empty sets differ")
	}
}
