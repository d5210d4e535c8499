package federation

import (
	"cmp"
	"reflect"
	"slices"
)

// Changes is what has to happen to get from the objects found to those wanted.
type Changes struct {
	Create []Object
	// Update holds wanted objects whose found namesake differs.
	Update []Object
	// Delete holds found objects that nobody wants.
	Delete []Object
	// Taken holds wanted objects whose name belongs to an object of somebody else.
	Taken []Object
}

// IsZero is true when there is nothing to write.
func (c Changes) IsZero() bool {
	return len(c.Create)+len(c.Update)+len(c.Delete) == 0
}

type objectKey struct{ kind, name string }

// Diff compares wanted with found. Objects without the module's label are
// somebody else's and never touched; those on their way out are left alone
// until they are gone. All lists are sorted, so equal input gives equal output.
func Diff(wanted, found []Object) Changes {
	foundByKey := make(map[objectKey]Object, len(found))
	for _, object := range found {
		foundByKey[objectKey{object.Kind, object.Name}] = object
	}
	var changes Changes
	wantedKeys := make(map[objectKey]bool, len(wanted))
	for _, object := range wanted {
		key := objectKey{object.Kind, object.Name}
		wantedKeys[key] = true
		existing, exists := foundByKey[key]
		switch {
		case !exists:
			changes.Create = append(changes.Create, object)
		case existing.Deleting:
		case !existing.Managed:
			changes.Taken = append(changes.Taken, object)
		case existing.Peer != object.Peer || !reflect.DeepEqual(existing.Spec, object.Spec):
			changes.Update = append(changes.Update, object)
		}
	}
	for _, object := range found {
		if object.Managed && !object.Deleting && !wantedKeys[objectKey{object.Kind, object.Name}] {
			changes.Delete = append(changes.Delete, object)
		}
	}
	for _, list := range [][]Object{changes.Create, changes.Update, changes.Delete, changes.Taken} {
		slices.SortFunc(list, func(a, b Object) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
		})
	}
	return changes
}
