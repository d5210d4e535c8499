package rules

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// cyrillic is any letter of the Russian alphabet.
var cyrillic = regexp.MustCompile(`\p{Cyrillic}`)

func TestEveryDescriptionHasARussianOne(t *testing.T) {
	files := []string{"openapi/config-values.yaml"}
	crds, err := filepath.Glob(filepath.Join(root, "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds {
		if name := filepath.Base(crd); !strings.HasPrefix(name, "doc-ru-") {
			files = append(files, "crds/"+name)
		}
	}
	for _, file := range files {
		translation := path.Join(path.Dir(file), "doc-ru-"+path.Base(file))
		english, russian := map[string]string{}, map[string]string{}
		collectDescriptions(parseYAML(t, file), "", english)
		collectDescriptions(parseYAML(t, translation), "", russian)
		if len(english) == 0 {
			t.Errorf("%s has no descriptions", file)
		}
		for key := range english {
			if strings.TrimSpace(russian[key]) == "" {
				t.Errorf("%s has no description of%s: translate that of %s", translation, key, file)
			}
		}
		for key := range russian {
			if _, ok := english[key]; !ok {
				t.Errorf("%s describes%s, which %s does not", translation, key, file)
			}
		}
	}
}

// collectDescriptions adds the descriptions in a schema, or in what surrounds
// one, by the way to them. Entries of lists count by their names: a translation
// leaves out those without a description.
func collectDescriptions(value any, way string, found map[string]string) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			text, ok := inner.(string)
			switch {
			case key == "description" && ok && !strings.HasSuffix(way, " properties"):
				found[way] = text
			case key != "x-examples" && key != "default":
				collectDescriptions(inner, way+" "+key, found)
			}
		}
	case []any:
		for i, inner := range value {
			name := strconv.Itoa(i)
			if object, ok := inner.(map[string]any); ok && object["name"] != nil {
				name = fmt.Sprint(object["name"])
			}
			collectDescriptions(inner, way+" "+name, found)
		}
	}
}

func parseYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	parsed := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(read(t, file)), &parsed); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return parsed
}

func TestRussianLettersAreInTranslationsOnly(t *testing.T) {
	translation := regexp.MustCompile(`(^|/)doc-ru-[^/]+\.yaml$|_RU\.md$|^module\.yaml$|^openapi/conversions/`)
	for _, file := range files(t, ".yaml", ".yml", ".json", ".go", ".md", ".tpl") {
		if translation.MatchString(file) {
			continue
		}
		for number, line := range strings.Split(read(t, file), "\n") {
			if cyrillic.MatchString(line) {
				t.Errorf("%s:%d has a Cyrillic letter: write it as an escape, \\u0430", file, number+1)
			}
		}
	}
}

func TestRussianPagesHaveTheSectionsOfTheEnglishOnes(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*_RU.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no Russian pages (%v)", err)
	}
	for _, page := range pages {
		russian, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		english := read(t, "docs/"+strings.TrimSuffix(filepath.Base(page), "_RU.md")+".md")
		for name, pattern := range map[string]*regexp.Regexp{
			"headings": heading, "links": link, "fenced blocks": regexp.MustCompile("(?m)^```[a-z]+$"),
		} {
			want, got := len(pattern.FindAllString(english, -1)), len(pattern.FindAllString(string(russian), -1))
			if want != got {
				t.Errorf("%s has %d %s, the English page %d", filepath.Base(page), got, name, want)
			}
		}
	}
}
