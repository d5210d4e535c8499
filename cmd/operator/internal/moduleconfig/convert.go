package moduleconfig

import (
	"fmt"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/settings/conversion"
)

// convert returns spec as one of the newest version, and advice to a person who
// wrote it for an older one. Settings without a version are of the newest. A version that
// cannot be converted stays, for Check to name it.
func (s *Schema) convert(spec Spec) (Spec, []string, error) {
	version := int(spec.Version)
	if float64(version) != spec.Version || version < conversion.First || version >= s.version || s.conversions.Latest() != s.version {
		return spec, nil, nil
	}
	converted, err := s.conversions.Convert(version, spec.Settings)
	if err != nil {
		return spec, nil, fmt.Errorf("%s: are of version %d: %w: correct them, or write them as version %d", settingsPath, version, err, s.version)
	}
	out := spec
	out.Version, out.Settings = float64(s.version), converted.Settings
	if len(converted.Advice) == 0 {
		return out, nil, nil
	}
	return out, []string{fmt.Sprintf("the settings are of version %d and converted to %d, to write them as version %d: %s",
		version, s.version, s.version, strings.Join(converted.Advice, " "))}, nil
}
