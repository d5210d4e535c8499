package peers

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Resource is an IstioFederation or IstioMulticluster.
type Resource struct {
	Kind, Name string
	// UID tells a resource from a later one of the same name; empty when it is not known.
	UID types.UID
}

// String names the resource in messages.
func (r Resource) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

func (r Resource) compare(other Resource) int {
	return cmp.Or(strings.Compare(r.Kind, other.Kind), strings.Compare(r.Name, other.Name))
}

// Existing is the set of resources that exist at one moment. The zero value is empty.
type Existing struct{ uids map[name]types.UID }

type name struct{ kind, name string }

// ExistingOf makes the set of those resources.
func ExistingOf(resources ...Resource) Existing {
	uids := make(map[name]types.UID, len(resources))
	for _, each := range resources {
		uids[name{each.Kind, each.Name}] = each.UID
	}
	return Existing{uids}
}

// Has is true when that very resource exists, and not another one of its name. A
// resource without a UID is known by kind and name.
func (e Existing) Has(wanted Resource) bool {
	uid, exists := e.uids[name{wanted.Kind, wanted.Name}]
	return exists && (wanted.UID == "" || wanted.UID == uid)
}

// Equal is true for the same set.
func (e Existing) Equal(other Existing) bool { return maps.Equal(e.uids, other.uids) }
