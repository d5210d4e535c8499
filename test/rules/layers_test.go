package rules

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/deckhouse-mesh/istio/"

// layers are the folders of the repository with the folders that each may
// import besides itself. The longest match of a path counts. docs/DEVELOPMENT.md
// describes them.
var layers = map[string][]string{
	"lib":                         nil,
	"hooks":                       {"lib"},
	"hooks/batch":                 {"lib", "hooks"},
	"global-hooks":                {"lib"},
	"modules":                     {"lib", "hooks"},
	"images/alliance-healthcheck": {"lib"},
	"images/api-proxy":            {"lib"},
	"images/metadata-exporter":    {"lib"},
	"cmd/operator":                {"lib", "global-hooks", "modules"},
	"deploy":                      {"lib"},
	"cmd/lab":                     {"lib", "deploy"},
	"tools":                       {"lib", "deploy"},
	"test":                        {"lib", "test/support"},
	"test/support":                {"lib"},
}

// moreForTests is what tests of a folder may import besides test/support: they compare folders with each other.
var moreForTests = map[string][]string{
	"deploy": {"hooks", "global-hooks"},
}

// forTests lists the packages that make what tests need. Only tests import them, and each other.
func forTests(folder string) bool {
	name := path.Base(folder)
	return strings.HasSuffix(name, "test") || strings.HasPrefix(folder, "test/") || name == "fixture" || name == "corpus"
}

// layer of a folder.
func layer(folder string) string {
	for ; folder != "."; folder = path.Dir(folder) {
		if _, ok := layers[folder]; ok {
			return folder
		}
	}
	return ""
}

func TestEveryImportFollowsTheLayers(t *testing.T) {
	for _, file := range files(t, ".go") {
		folder := path.Dir(file)
		from := layer(folder)
		if from == "" {
			t.Errorf("%s: its folder has no layer", file)
			continue
		}
		test := strings.HasSuffix(file, "_test.go") || forTests(folder)
		for _, imported := range imports(t, file) {
			to := layer(imported)
			if to != from && !allowed(from, to, test) {
				t.Errorf("%s imports %s, which %s must not", file, imported, from)
			}
			if forTests(imported) && !test {
				t.Errorf("%s imports %s, which is for tests only", file, imported)
			}
		}
	}
}

// imports returns the folders of the repository that a file imports.
func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if folder, ours := strings.CutPrefix(imported, module); ours {
			folders = append(folders, folder)
		}
	}
	return folders
}

func allowed(from, to string, test bool) bool {
	for _, folder := range layers[from] {
		if folder == to {
			return true
		}
	}
	if test {
		if to == "test/support" {
			return true
		}
		for _, folder := range moreForTests[from] {
			if folder == to {
				return true
			}
		}
	}
	return false
}
