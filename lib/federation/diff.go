package federation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch"
)

// Change is what has to happen to one object.
type Change struct {
	// Step is Create, Update or Delete.
	Step Step
	// Wanted is the object as it should be, Found as it exists; zero where there is none.
	Wanted, Found Object
}

// Key of the object.
func (c Change) Key() Key {
	if c.Step == Delete {
		return c.Found.Key()
	}
	return c.Wanted.Key()
}

// Patch is the RFC 7396 merge patch that makes the spec what is wanted and
// names the peer; labels and annotations of others are retained. With a
// resourceVersion the API server rejects it when the object has changed by then.
func (c Change) Patch(resourceVersion string) ([]byte, error) {
	found, err := json.Marshal(c.Found.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %q: %w", c.Found.Kind, c.Found.Name, err)
	}
	wanted, err := json.Marshal(c.Wanted.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec for %s %q: %w", c.Wanted.Kind, c.Wanted.Name, err)
	}
	difference, err := jsonpatch.CreateMergePatch(found, wanted)
	if err != nil {
		return nil, fmt.Errorf("compare specs of %s %q: %w", c.Wanted.Kind, c.Wanted.Name, err)
	}
	metadata := map[string]any{"annotations": map[string]any{PeerAnnotation: c.Wanted.Peer}}
	if resourceVersion != "" {
		metadata["resourceVersion"] = resourceVersion
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata, "spec": json.RawMessage(difference)})
	if err != nil {
		return nil, fmt.Errorf("encode the patch of %s %q: %w", c.Wanted.Kind, c.Wanted.Name, err)
	}
	return patch, nil
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

// Key identifies an object in the module's namespace.
type Key struct{ Kind, Name string }

// Compare orders keys by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Name, other.Name), cmp.Compare(k.Kind, other.Kind))
}

// Key of the object.
func (o Object) Key() Key { return Key{o.Kind, o.Name} }

// Diff compares wanted with found by Decide, and returns what has to be written, and the wanted objects whose name
// belongs to another owner's. Both are sorted, so equal input gives equal output.
func Diff(wanted, found []Object) (changes []Change, conflicts []Object) {
	notWanted := make(map[Key]Object, len(found))
	for _, object := range found {
		notWanted[object.Key()] = object
	}
	for _, object := range wanted {
		var state *State
		existing, exists := notWanted[object.Key()]
		if exists {
			state = &existing.State
			delete(notWanted, object.Key())
		}
		switch step := Decide(true, state, func() bool { return existing.Peer == object.Peer && equal(existing.Spec, object.Spec) }); step {
		case Create, Update:
			changes = append(changes, Change{step, object, existing})
		case NameConflict:
			conflicts = append(conflicts, object)
		case Leave, Delete:
		}
	}
	for _, object := range notWanted {
		if Decide(false, &object.State, nil) == Delete {
			changes = append(changes, Change{Step: Delete, Found: object})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Key().Compare(b.Key()) })
	slices.SortFunc(conflicts, func(a, b Object) int { return a.Key().Compare(b.Key()) })
	return changes, conflicts
}
