// Package presence knows which of the resources that join neighbours exist.
//
// Who a neighbour is, its key and its roots, comes from the operator. That it is
// one still, the programs that let neighbours in see for themselves: an entry of
// the operator's counts while the very resource that it was made for is there.
// So deleting a resource takes the rights away when the operator does not run, too.
package presence

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/types"
)

// Resource is an IstioFederation or IstioMulticluster.
type Resource struct {
	Kind, Name string
	// UID tells a resource from a later one of the same name; empty where the
	// operator is of before it wrote UIDs.
	UID types.UID
}

// String names the resource in messages.
func (r Resource) String() string { return fmt.Sprintf("%s %q", r.Kind, r.Name) }

// Resources are those that exist at one moment. The zero value has none.
type Resources struct{ uids map[name]types.UID }

type name struct{ kind, name string }

// Of makes Resources of those that exist.
func Of(existing ...Resource) Resources {
	uids := make(map[name]types.UID, len(existing))
	for _, each := range existing {
		uids[name{each.Kind, each.Name}] = each.UID
	}
	return Resources{uids}
}

// Have is true when the resource is there, and not another that has taken its
// name since. One whose UID nobody has written down is known by kind and name.
func (r Resources) Have(wanted Resource) bool {
	uid, exists := r.uids[name{wanted.Kind, wanted.Name}]
	return exists && (wanted.UID == "" || wanted.UID == uid)
}

// Equal is true when the same resources are there.
func (r Resources) Equal(other Resources) bool { return maps.Equal(r.uids, other.uids) }
