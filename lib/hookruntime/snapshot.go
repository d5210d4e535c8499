package hookruntime

import (
	"encoding/json"
	"fmt"

	"github.com/deckhouse/module-sdk/pkg"
	gohook "github.com/flant/addon-operator/pkg/module_manager/go_hook"
)

// snapshots presents addon-operator's snapshots, which hold the results of
// jqFilter, as module-sdk does: JSON to be decoded by the hook.
type snapshots struct {
	source pkg.Snapshots
}

// Get returns the snapshot of the binding called name, in the order of the source.
func (s snapshots) Get(name string) []pkg.Snapshot {
	source := s.source.Get(name)
	if source == nil {
		return nil
	}
	out := make([]pkg.Snapshot, len(source))
	for i, item := range source {
		out[i] = item
		if wrapped, ok := item.(*gohook.Wrapped); ok {
			if raw, ok := wrapped.Wrapped.(json.RawMessage); ok {
				out[i] = snapshot(raw)
			}
		}
	}
	return out
}

type snapshot json.RawMessage

// UnmarshalTo decodes the filter's result into v.
func (s snapshot) UnmarshalTo(v any) error {
	if err := json.Unmarshal(s, v); err != nil {
		return fmt.Errorf("decode snapshot into %T: %w", v, err)
	}
	return nil
}

// String returns the filter's result as JSON.
func (s snapshot) String() string { return string(s) }
