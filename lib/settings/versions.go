package settings

import (
	"fmt"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// checkVersions refuses versions of Istio that the module does not have. No global version means its default.
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
