package globalhooks

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	"github.com/tidwall/gjson"
)

// object subscribes to one object of the core group.
func object(binding, kind, namespace, name, filter string) pkg.KubernetesConfig {
	return pkg.KubernetesConfig{
		Name:              binding,
		APIVersion:        "v1",
		Kind:              kind,
		NameSelector:      &pkg.NameSelector{MatchNames: []string{name}},
		NamespaceSelector: &pkg.NamespaceSelector{NameSelector: &pkg.NameSelector{MatchNames: []string{namespace}}},
		JqFilter:          filter,
	}
}

// snapshot is what the binding's filter gives of each object.
func snapshot[T any](in *pkg.HookInput, binding string) ([]T, error) {
	found, err := objectpatch.UnmarshalToStruct[T](in.Snapshots, binding)
	if err != nil {
		return nil, fmt.Errorf("decode snapshot %q: %w", binding, err)
	}
	return found, nil
}

// text is what the filter gives of the binding's one object; empty without the object.
func text(in *pkg.HookInput, binding string) (string, error) {
	found, err := snapshot[string](in, binding)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0], nil
}

// set writes value at path unless it is there already: equal is silent.
func set(in *pkg.HookInput, path string, value any) {
	encoded, err := json.Marshal(value)
	if current, found := in.Values.GetOk(path); err == nil && found && reflect.DeepEqual(current.Value(), gjson.ParseBytes(encoded).Value()) {
		return
	}
	in.Values.Set(path, value)
}
