package moduleconfig

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// prune returns spec without those of its settings that the schema rejects, and
// their names, sorted. Settings are the only thing it takes away: whether the
// module is switched on stays. A list counts as one setting.
func (s *Schema) prune(spec Spec) (Spec, []string) {
	if len(s.Check(spec, nil)) == 0 {
		return spec, nil
	}
	out := spec
	out.Version, out.Settings = 0, nil // what is left follows the schema that is there
	if len(s.Check(out, nil)) > 0 {
		return out, []string{"all of them"} // the schema demands a setting that was never made
	}

	// Settings come back one by one, a group as a whole if that is acceptable.
	// One that needs another has its turn again after that.
	pending := parts(nil, spec.Settings)
	for progress := true; progress; {
		progress = false
		var rejected []part
		for _, part := range pending {
			candidate := out
			candidate.Settings = copySettings(out.Settings)
			err := unstructured.SetNestedField(candidate.Settings, part.value, part.path...)
			group, isGroup := part.value.(map[string]any)
			switch {
			case err == nil && len(s.Check(candidate, nil)) == 0:
				out, progress = candidate, true
			case isGroup && len(group) > 0:
				rejected, progress = append(rejected, parts(part.path, group)...), true
			default:
				rejected = append(rejected, part)
			}
		}
		pending = rejected
	}
	var names []string
	for _, part := range pending {
		names = append(names, strings.Join(part.path, "."))
	}
	slices.Sort(names)
	return out, names
}

// part is a setting or a group of settings, and where it belongs.
type part struct {
	path  []string
	value any
}

// parts returns what is in the group at path, always in the same order.
func parts(path []string, group map[string]any) []part {
	var out []part
	for _, key := range slices.Sorted(maps.Keys(group)) {
		out = append(out, part{append(slices.Clone(path), key), group[key]})
	}
	return out
}
