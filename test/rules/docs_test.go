package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var (
	// codeSpan is a path in backticks: it has a slash and is no pattern, option or address.
	codeSpan = regexp.MustCompile("`([A-Za-z0-9._-]+/[A-Za-z0-9._/-]*)`")
	// link of Markdown to a file of the repository.
	link = regexp.MustCompile(`\]\(([^)#:]+)(?:#([^)]*))?\)`)
	// heading of Markdown.
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// testName is a test that a document names as its proof.
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)(?:/([A-Za-z0-9]+))?[^`]*`")
	// declaredTest is where such a test is.
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

func TestDocumentsNamePathsThatExist(t *testing.T) {
	for _, file := range files(t, ".md") {
		for _, match := range codeSpan.FindAllStringSubmatch(read(t, file), -1) {
			top, _, _ := strings.Cut(match[1], "/")
			if file != "docs/DEVELOPMENT.md" && !folder(top) || folder(top) && made.MatchString(match[1]) {
				continue // not a path of the repository, or one that `make` fills
			}
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s names %s: %v", file, match[1], err)
			}
		}
	}
}

// made are the folders that `make` fills.
var made = regexp.MustCompile(`^(bin|\.cache|files|crds/istio|charts)/`)

// folder is true for a folder of the repository.
func folder(name string) bool {
	info, err := os.Stat(filepath.Join(root, name))
	return err == nil && info.IsDir() || made.MatchString(name+"/")
}

func TestDevelopmentDescribesEveryPackageOfLib(t *testing.T) {
	text := read(t, "docs/DEVELOPMENT.md")
	folders, err := os.ReadDir(filepath.Join(root, "lib"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if name := "`lib/" + folder.Name(); !strings.Contains(text, name+"`") && !strings.Contains(text, name+"/") {
			t.Errorf("docs/DEVELOPMENT.md does not say what lib/%s is", folder.Name())
		}
	}
}

func TestEveryValueThatHooksComputeIsDocumented(t *testing.T) {
	var schema struct {
		Properties struct {
			Internal struct {
				Properties map[string]any `json:"properties"`
			} `json:"internal"`
		} `json:"properties"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "openapi/values.yaml")), &schema); err != nil {
		t.Fatal(err)
	}
	values := schema.Properties.Internal.Properties
	if len(values) == 0 {
		t.Fatal("openapi/values.yaml has no internal values")
	}
	text := read(t, "docs/VALUES.md")
	for name := range values {
		if !regexp.MustCompile("`internal\\." + name + `\b`).MatchString(text) {
			t.Errorf("docs/VALUES.md does not say what internal.%s is", name)
		}
	}
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	for _, file := range files(t, ".md") {
		for _, match := range link.FindAllStringSubmatch(read(t, file), -1) {
			target := filepath.Join(filepath.Dir(file), match[1])
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
				continue
			}
			if match[2] != "" && strings.HasSuffix(target, ".md") && !hasHeading(read(t, target), match[2]) {
				t.Errorf("%s links to %s#%s: there is no such heading", file, match[1], match[2])
			}
		}
	}
}

// hasHeading is true when text has a heading that GitHub gives that anchor.
func hasHeading(text, anchor string) bool {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

func TestDocumentsNameTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	var all strings.Builder
	for _, file := range files(t, "_test.go") {
		source := read(t, file)
		all.WriteString(source)
		for _, match := range declaredTest.FindAllStringSubmatch(source, -1) {
			declared[match[1]] = true
		}
	}
	for _, file := range files(t, ".md") {
		for _, match := range testName.FindAllStringSubmatch(read(t, file), -1) {
			if part := match[2]; !declared[match[1]] || part != "" && !strings.Contains(all.String(), `"`+part+`"`) {
				t.Errorf("%s names %s, which does not exist", file, match[0])
			}
		}
	}
}
