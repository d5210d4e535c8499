package settings

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// checkVersions rejects versions of Istio that the module does not have. No global version means its default.
// Those of previous are not judged again: a version that a release of the module drops must not stand in
// the way of other changes, nor does it change what is installed.
func checkVersions(wanted, previous checked) []error {
	var problems []error
	judge := func(setting, version string) {
		if _, err := istioversion.Find(version); err != nil {
			problems = append(problems, unavailable(fmt.Errorf("%s: %w", setting, err), version))
		}
	}
	if wanted.GlobalVersion != "" && wanted.GlobalVersion != previous.GlobalVersion {
		judge("globalVersion", wanted.GlobalVersion)
	}
	for index, version := range wanted.AdditionalVersions {
		if !slices.Contains(previous.AdditionalVersions, version) {
			judge(fmt.Sprintf("additionalVersions[%d]", index), version)
		}
	}
	return problems
}

// unavailable is the problem of a version that there is not, as Tolerated where an earlier release may have had it.
func unavailable(problem error, name string) error {
	all := istioversion.All()
	wanted, err := version.ParseGeneric(name)
	if err == nil && wanted.LessThan(version.MustParseGeneric(all[len(all)-1].Version)) {
		return Tolerated{problem}
	}
	return problem
}

// Warnings returns what a person should know about spec.settings that are in force
// (a decoded YAML or JSON object) outside Deckhouse: what has no effect, and the versions of Istio
// that there are no longer, or whose end of life is near or past. Settings that
// cannot be read were rejected and get no warning.
func Warnings(settings map[string]any, now time.Time) []string {
	read, err := decode(settings)
	if err != nil {
		return nil
	}
	global := cmp.Or(read.GlobalVersion, istioversion.Default().Version)
	var warnings []string
	for _, found := range WithoutEffect(settings, false) {
		warnings = append(warnings, found.String())
	}
	for _, problem := range checkVersions(read, checked{}) {
		warnings = append(warnings, problem.Error()+"; what is installed stays")
	}
	seen := map[string]bool{}
	for _, name := range append([]string{global}, read.AdditionalVersions...) {
		found, err := istioversion.Find(name)
		if err != nil || seen[name] {
			continue
		}
		seen[name] = true
		if warning := found.LifeWarning(now); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	return warnings
}
