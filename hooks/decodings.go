package hooks

import (
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
)

// decodings remembers what the objects of a binding were decoded to, so that
// what has not changed since the last run is not decoded again: a peer's ten
// thousand services take a tenth of a second. What comes out is shared between
// runs and must not be changed. It is an economy: a process that knows nothing
// decodes everything. It is not safe for concurrent use.
type decodings[T any] struct {
	known map[string]T
	// unpack, unless nil, completes what was decoded.
	unpack func(*T)
}

// snapshot is as the function of that name.
func (d *decodings[T]) snapshot(in *sdk.HookInput, binding string) ([]T, error) {
	found := in.Snapshots.Get(binding)
	objects := make([]T, len(found))
	known := make(map[string]T, len(found))
	for index, object := range found {
		text := object.String()
		decoded, before := d.known[text]
		if !before {
			if err := object.UnmarshalTo(&decoded); err != nil {
				return nil, fmt.Errorf("decode snapshot %q: %w", binding, err)
			}
			if d.unpack != nil {
				d.unpack(&decoded)
			}
		}
		objects[index], known[text] = decoded, decoded
	}
	d.known = known
	return objects, nil
}
