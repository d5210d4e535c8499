package rules

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPathsOfValuesFollowTheModulesName: a path that is written out finds no
// value in a bundle that has another name. names.ValuesPath makes it.
func TestPathsOfValuesFollowTheModulesName(t *testing.T) {
	keys := map[string]bool{}
	for _, schema := range []string{"openapi/config-values.yaml", "openapi/values.yaml"} {
		properties, _ := parseYAML(t, schema)["properties"].(map[string]any)
		for key := range properties {
			keys[regexp.QuoteMeta(key)] = true
		}
	}
	if !keys["internal"] || !keys["federation"] {
		t.Fatalf("the schemas of openapi/ have the keys %v", slices.Sorted(maps.Keys(keys)))
	}
	writtenOut := regexp.MustCompile(`^istio\.(?:` + strings.Join(slices.Sorted(maps.Keys(keys)), "|") + `)(?:\.[A-Za-z.]*)?$`)
	for _, file := range files(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || forTests(path.Dir(file)) {
			continue
		}
		sentences, _ := parse(t, file)
		for _, found := range sentences {
			if writtenOut.MatchString(found.text) {
				t.Errorf("%s:%d: %q does not follow the module's name: use names.ValuesPath", file, found.line, found.text)
			}
		}
	}
}
