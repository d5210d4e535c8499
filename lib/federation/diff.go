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
	Update []Update
	// Delete holds found objects that nobody wants.
	Delete []Object
	// Taken holds wanted objects whose name belongs to an object of somebody else.
	Taken []Object
}

// Update is a wanted object and the one that is there.
type Update struct {
	Wanted, Found Object
}

// Patch is the RFC 7396 merge patch that makes the spec what is wanted and
// names the peer; other people's labels and annotations stay. With a
// resourceVersion the API server refuses it when the object is another by then.
func (u Update) Patch(resourceVersion string) (map[string]any, error) {
	found, err := json.Marshal(u.Found.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %q: %w", u.Found.Kind, u.Found.Name, err)
	}
	wanted, err := json.Marshal(u.Wanted.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec for %s %q: %w", u.Wanted.Kind, u.Wanted.Name, err)
	}
	difference, err := jsonpatch.CreateMergePatch(found, wanted)
	if err != nil {
		return nil, fmt.Errorf("compare specs of %s %q: %w", u.Wanted.Kind, u.Wanted.Name, err)
	}
	metadata := map[string]any{"annotations": map[string]any{PeerAnnotation: u.Wanted.Peer}}
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

// Key tells objects of the module's namespace apart.
type Key struct{ Kind, Name string }

// Key of the object.
func (o Object) Key() Key { return Key{o.Kind, o.Name} }

// Diff compares wanted with found as Decide says. All lists are sorted, so
// equal input gives equal output.
func Diff(wanted, found []Object) Changes {
	foundByKey := make(map[Key]Object, len(found))
	for _, object := range found {
		foundByKey[object.Key()] = object
	}
	var changes Changes
	wantedKeys := make(map[Key]struct{}, len(wanted))
	for _, object := range wanted {
		wantedKeys[object.Key()] = struct{}{}
		var presence *Presence
		existing, exists := foundByKey[object.Key()]
		if exists {
			presence = &existing.Presence
		}
		switch Decide(true, presence, func() bool { return existing.Peer == object.Peer && equal(existing.Spec, object.Spec) }) {
		case Create:
			changes.Create = append(changes.Create, object)
		case Taken:
			changes.Taken = append(changes.Taken, object)
		case Bring:
			changes.Update = append(changes.Update, Update{Wanted: object, Found: existing})
		case Leave, Remove:
		}
	}
	for _, object := range found {
		if _, isWanted := wantedKeys[object.Key()]; !isWanted && Decide(false, &object.Presence, nil) == Remove {
			changes.Delete = append(changes.Delete, object)
		}
	}
	byName := func(a, b Object) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) }
	for _, list := range [][]Object{changes.Create, changes.Delete, changes.Taken} {
		slices.SortFunc(list, byName)
	}
	slices.SortFunc(changes.Update, func(a, b Update) int { return byName(a.Wanted, b.Wanted) })
	return changes
}
