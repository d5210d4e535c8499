package federation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch"
)

// Changes is what has to happen to get from the objects found to those wanted.
type Changes struct {
	Create []Object
	// Update holds wanted objects with their found namesakes that differ.
	Update []Difference
	// Delete holds found objects that are not wanted.
	Delete []Object
	// NameConflicts holds wanted objects whose name belongs to another owner's object.
	NameConflicts []Object
}

// Difference is a wanted object and the existing one.
type Difference struct {
	Wanted, Found Object
}

// Patch is the RFC 7396 merge patch that makes the spec what is wanted and
// names the peer; labels and annotations of others are retained. With a
// resourceVersion the API server rejects it when the object has changed by then.
func (d Difference) Patch(resourceVersion string) (map[string]any, error) {
	found, err := json.Marshal(d.Found.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %q: %w", d.Found.Kind, d.Found.Name, err)
	}
	wanted, err := json.Marshal(d.Wanted.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec for %s %q: %w", d.Wanted.Kind, d.Wanted.Name, err)
	}
	difference, err := jsonpatch.CreateMergePatch(found, wanted)
	if err != nil {
		return nil, fmt.Errorf("compare specs of %s %q: %w", d.Wanted.Kind, d.Wanted.Name, err)
	}
	metadata := map[string]any{"annotations": map[string]any{PeerAnnotation: d.Wanted.Peer}}
	if resourceVersion != "" {
		metadata["resourceVersion"] = resourceVersion
	}
	return map[string]any{"metadata": metadata, "spec": json.RawMessage(difference)}, nil
}

// equal compares two JSON values as encoding/json decodes them, which
// reflect.DeepEqual does at several times the cost. A value of any other type
// is equal to nothing.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, value := range a {
			if other, ok := b[key]; !ok || !equal(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case string:
		b, ok := b.(string)
		return ok && a == b
	case float64:
		b, ok := b.(float64)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case nil:
		return b == nil
	}
	return false
}

// IsZero is true when there is nothing to write.
func (c Changes) IsZero() bool {
	return len(c.Create)+len(c.Update)+len(c.Delete) == 0
}

// Key identifies an object in the module's namespace.
type Key struct{ Kind, Name string }

// Compare orders keys by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Name, other.Name), cmp.Compare(k.Kind, other.Kind))
}

// Key of the object.
func (o Object) Key() Key { return Key{o.Kind, o.Name} }

// Diff compares wanted with found by Decide. All lists are sorted, so equal input
// gives equal output.
func Diff(wanted, found []Object) Changes {
	foundByKey := make(map[Key]Object, len(found))
	for _, object := range found {
		foundByKey[object.Key()] = object
	}
	var changes Changes
	wantedKeys := make(map[Key]struct{}, len(wanted))
	for _, object := range wanted {
		wantedKeys[object.Key()] = struct{}{}
		var state *State
		existing, exists := foundByKey[object.Key()]
		if exists {
			state = &existing.State
		}
		switch Decide(true, state, func() bool { return existing.Peer == object.Peer && equal(existing.Spec, object.Spec) }) {
		case Create:
			changes.Create = append(changes.Create, object)
		case NameConflict:
			changes.NameConflicts = append(changes.NameConflicts, object)
		case Update:
			changes.Update = append(changes.Update, Difference{Wanted: object, Found: existing})
		case Leave, Delete:
		}
	}
	for _, object := range found {
		if _, isWanted := wantedKeys[object.Key()]; !isWanted && Decide(false, &object.State, nil) == Delete {
			changes.Delete = append(changes.Delete, object)
		}
	}
	byName := func(a, b Object) int { return a.Key().Compare(b.Key()) }
	for _, list := range [][]Object{changes.Create, changes.Delete, changes.NameConflicts} {
		slices.SortFunc(list, byName)
	}
	slices.SortFunc(changes.Update, func(a, b Difference) int { return byName(a.Wanted, b.Wanted) })
	return changes
}
