package settings

import (
	"maps"
	"slices"
	"strings"
)

// removableLimits are the groups of limits in which null means that there is no limit.
var removableLimits = [][]string{
	{"sidecar", "resourcesManagement", "static"},
	{"controlPlane", "resourcesManagement", "static"},
}

// WithoutNulls returns a copy of settings (a decoded JSON object) that means the same
// without any null. addon-operator drops nulls on the way to the templates and then applies the
// defaults, so a limit that a person removed by null would be back: it becomes 0 here, which means no
// limit, too. Every other null is the same as no setting.
func WithoutNulls(settings map[string]any) map[string]any {
	out, _ := withoutNulls(settings).(map[string]any)
	for _, path := range removableLimits {
		written, isGroup := at(settings, path...).(map[string]any)
		if !isGroup {
			continue
		}
		limits, there := written["limits"]
		if !there {
			continue
		}
		if limits == nil {
			limits = map[string]any{"cpu": nil, "memory": nil}
		}
		group, isGroup := limits.(map[string]any)
		if !isGroup {
			continue // the schema rejects it
		}
		zeroed := maps.Clone(group)
		for name, limit := range zeroed {
			if limit == nil {
				zeroed[name] = 0.0
			}
		}
		at(out, path...).(map[string]any)["limits"] = zeroed //nolint:forcetypeassert // a copy of written
	}
	return out
}

// NullLimits lists the limits that settings remove by null. Deckhouse drops nulls before a
// module sees them.
func NullLimits(settings map[string]any) []string {
	var found []string
	for _, path := range removableLimits {
		written, _ := at(settings, path...).(map[string]any)
		limits, there := written["limits"]
		name := strings.Join(path, ".") + ".limits"
		if there && limits == nil {
			found = append(found, name)
		}
		group, _ := limits.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(group)) {
			if group[key] == nil {
				found = append(found, name+"."+key)
			}
		}
	}
	return found
}

// withoutNulls copies groups and lists, without the nulls in groups.
func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		if value == nil {
			return value
		}
		group := map[string]any{}
		for key, part := range value {
			if part != nil {
				group[key] = withoutNulls(part)
			}
		}
		return group
	case []any:
		list := make([]any, len(value))
		for index, part := range value {
			list[index] = withoutNulls(part)
		}
		return list
	}
	return value
}
