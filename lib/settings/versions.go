package settings

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// checkVersions rejects versions of Istio that the module does not have. No global version means its default.
func checkVersions(global string, additional []string) []error {
	var problems []error
	if global != "" {
		if _, err := istioversion.Find(global); err != nil {
			problems = append(problems, fmt.Errorf("globalVersion: %w", err))
		}
	}
	for index, version := range additional {
		if _, err := istioversion.Find(version); err != nil {
			problems = append(problems, fmt.Errorf("additionalVersions[%d]: %w", index, err))
		}
	}
	return problems
}

// Warnings returns what a person should know about spec.settings that are in force
// (a decoded YAML or JSON object): the versions of Istio in them whose end of life
// is near or past. Settings that cannot be read were rejected and get no warning.
func Warnings(settings map[string]any, now time.Time) []string {
	encoded, err := json.Marshal(settings)
	if err != nil {
		return nil
	}
	read := defaults()
	if err := json.Unmarshal(encoded, &read); err != nil {
		return nil
	}
	global := read.GlobalVersion
	if global == "" {
		global = istioversion.Default().Version
	}
	var warnings []string
	seen := map[string]bool{}
	for _, name := range append([]string{global}, read.AdditionalVersions...) {
		version, err := istioversion.Find(name)
		if err != nil || seen[name] {
			continue
		}
		seen[name] = true
		if warning := version.LifeWarning(now); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	return warnings
}
