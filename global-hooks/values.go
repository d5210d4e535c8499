package globalhooks

import (
	"encoding/json"
	"reflect"

	"github.com/deckhouse/module-sdk/pkg"
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

// set writes value at path unless it is there already: equal is silent.
func set(in *pkg.HookInput, path string, value any) {
	if current, found := in.Values.GetOk(path); found && equalJSON(current.Raw, value) {
		return
	}
	in.Values.Set(path, value)
}

// equalJSON is true when raw, a JSON document, says the same as value.
func equalJSON(raw string, value any) bool {
	encoded, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var a, b any
	if json.Unmarshal([]byte(raw), &a) != nil || json.Unmarshal(encoded, &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}
