package hooks

import (
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
)

// snapshotCache remembers what the objects of a binding were decoded to, so that
// what has not changed since the last run is not decoded again: a peer's ten
// thousand services take a tenth of a second. What comes out is shared between
// runs and must not be changed. It is an optimisation: a process that remembers
// nothing decodes everything. It is not safe for concurrent use.
type snapshotCache[T any] struct {
	decoded map[string]T
	// unpack, unless nil, completes what was decoded.
	unpack func(*T)
}

// snapshot is as the function of that name.
func (c *snapshotCache[T]) snapshot(in *sdk.HookInput, binding string) ([]T, error) {
	found := in.Snapshots.Get(binding)
	objects := make([]T, len(found))
	decoded := make(map[string]T, len(found))
	for index, object := range found {
		text := object.String()
		value, known := c.decoded[text]
		if !known {
			if err := object.UnmarshalTo(&value); err != nil {
				return nil, fmt.Errorf("decode snapshot %q: %w", binding, err)
			}
			if c.unpack != nil {
				c.unpack(&value)
			}
		}
		objects[index], decoded[text] = value, value
	}
	c.decoded = decoded
	return objects, nil
}
