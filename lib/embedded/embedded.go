// Package embedded keeps this module, under a second name, apart from the module
// istio that Deckhouse's platform has in itself. A cluster has one of the two: both
// own namespace d8-istio, and the Helm of addon-operator takes objects of that name
// over from whatever release has them.
package embedded

import (
	"fmt"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// Yields is true when the module of this name leaves the cluster to the embedded
// one, which is among the modules that are enabled.
func Yields(module string, enabled []string) bool {
	return module != names.Embedded && slices.Contains(enabled, names.Embedded)
}

// Reason says in the status of the module why it is off.
func Reason(module string) string {
	return fmt.Sprintf("Deckhouse's own module %s is on, and a cluster has one of the two: %s installs, deletes and changes nothing until %s is switched off (docs/MIGRATION.md says what to save before)",
		names.Embedded, module, names.Embedded)
}
