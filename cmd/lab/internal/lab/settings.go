package lab

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// Mode in which the clusters are joined.
type Mode string

// Modes, as in the contract.
const (
	Federation   Mode = "federation"
	Multicluster Mode = "multicluster"
)

// ParseMode refuses what cannot be started.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(text); mode {
	case Federation:
		return mode, nil
	case Multicluster:
		return "", fmt.Errorf("mode %q is not available yet: the module does not join clusters into one mesh so far; use --mode %s", mode, Federation)
	}
	return "", fmt.Errorf("mode %q is not known: use --mode %s", text, Federation)
}

// moduleSettings are spec.settings of ModuleConfig istio: those that the mode
// needs, with the person's own over them.
func moduleSettings(mode Mode, file string) (map[string]any, error) {
	settings := map[string]any{string(mode): map[string]any{"enabled": true}}
	if file == "" {
		return settings, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	var own map[string]any
	if err := yaml.Unmarshal(content, &own); err != nil {
		return nil, fmt.Errorf("read the settings in %s, which must be what belongs below spec.settings of the ModuleConfig: %w", file, err)
	}
	return merge(settings, own), nil
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

// enabled tells whether the settings switch the mode on.
func enabled(settings map[string]any, mode Mode) bool {
	section, _ := settings[string(mode)].(map[string]any)
	on, _ := section["enabled"].(bool)
	return on
}
