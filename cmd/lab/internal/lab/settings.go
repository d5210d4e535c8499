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
	// Mixed is ours: the last cluster is federated with all others, which are a multicluster.
	Mixed Mode = "mixed"
)

// minMixed is the smallest lab in which both kinds of joins exist.
const minMixed = 3

// ParseMode refuses what cannot be started.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(text); mode {
	case Federation, Multicluster, Mixed:
		return mode, nil
	}
	return "", fmt.Errorf("mode %q is not known: use %s, %s or %s", text, Federation, Multicluster, Mixed)
}

// CheckSize tells why so many clusters cannot be joined in the mode.
func (m Mode) CheckSize(clusters int) error {
	switch {
	case clusters < 1 || clusters > MaxClusters:
		return fmt.Errorf("%d is not between 1 and %d", clusters, MaxClusters)
	case m == Mixed && clusters < minMixed:
		return fmt.Errorf("mode %s needs %d clusters at least: two of one mesh, and one that is federated with them", m, minMixed)
	}
	return nil
}

// settingsOf the clusters, by their names.
func settingsOf(plans []plan, file string) (map[string]map[string]any, error) {
	settings := map[string]map[string]any{}
	for _, plan := range plans {
		var err error
		if settings[plan.name], err = moduleSettings(plan.needs, file); err != nil {
			return nil, err
		}
	}
	return settings, nil
}

// moduleSettings are spec.settings of ModuleConfig istio: those that the joins
// need, with the person's own over them.
func moduleSettings(needs []Mode, file string) (map[string]any, error) {
	settings := map[string]any{}
	for _, need := range needs {
		settings[string(need)] = map[string]any{"enabled": true}
	}
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

// enabled tells whether the settings switch that kind of join on.
func enabled(settings map[string]any, mode Mode) bool {
	section, _ := settings[string(mode)].(map[string]any)
	on, _ := section["enabled"].(bool)
	return on
}
