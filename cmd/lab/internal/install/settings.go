package install

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// Kind of peer.
type Kind string

// Kinds; the settings that switch them on have the same names.
const (
	Federation   Kind = "federation"
	Multicluster Kind = "multicluster"
)

// modest are requests for a whole mesh on two processors: they are what the
// programs use at rest. Limits stay as clusters have them.
const modest = `
controlPlane:
  resourcesManagement: {mode: Static, static: {requests: {cpu: 50m, memory: 128Mi}}}
sidecar:
  resourcesManagement: {mode: Static, static: {requests: {cpu: 10m, memory: 64Mi}}}
`

// Settings are spec.settings of the module's ModuleConfig: requests for a small machine,
// what peers need, and the person's own, YAML, over both.
func Settings(needs []Kind, own []byte) (map[string]any, error) {
	settings := map[string]any{}
	if err := yaml.Unmarshal([]byte(modest), &settings); err != nil {
		return nil, err
	}
	for _, need := range needs {
		settings[string(need)] = map[string]any{"enabled": true}
	}
	var over map[string]any
	if err := yaml.Unmarshal(own, &over); err != nil {
		return nil, fmt.Errorf("read the settings, which must be what belongs below spec.settings of the ModuleConfig: %w", err)
	}
	return merge(settings, over), nil
}

// merge lays over on base, map by map.
func merge(base, over map[string]any) map[string]any {
	for key, value := range over {
		below, isMap := base[key].(map[string]any)
		above, andMap := value.(map[string]any)
		if isMap && andMap {
			base[key] = merge(below, above)
			continue
		}
		base[key] = value
	}
	return base
}

// Enabled reports whether the settings switch that kind on.
func Enabled(settings map[string]any, kind Kind) bool {
	section, _ := settings[string(kind)].(map[string]any)
	on, _ := section["enabled"].(bool)
	return on
}
