package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests here hold the rules of Deckhouse's linter that are broken most
// easily. docs/DEVELOPMENT.md describes how to run the linter itself.

func TestTheModuleHasTheFilesThatDeckhouseExpects(t *testing.T) {
	for _, name := range []string{
		".dmtlint.yaml", ".helmignore", ".namespace", "Chart.yaml", "module.yaml", "oss.yaml", "docs/README.md", "docs/README_RU.md",
		"hooks/copy_custom_certificate.go", "openapi/doc-ru-config-values.yaml", "templates/monitoring.yaml",
	} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is missing or empty (%v)", name, err)
		}
	}
	if rules := read(t, "templates/monitoring.yaml"); !strings.Contains(rules, `include "helm_lib_prometheus_rules"`) {
		t.Error("templates/monitoring.yaml does not render monitoring/prometheus-rules")
	}
}

func TestTheDefinitionOfTheModule(t *testing.T) {
	definition := parseYAML(t, "module.yaml")
	if namespace := strings.TrimSpace(read(t, ".namespace")); namespace != definition["namespace"] {
		t.Errorf(".namespace is %s, that of module.yaml %v", namespace, definition["namespace"])
	}
	if _, found := definition["weight"]; found {
		t.Error("module.yaml has a weight, which Deckhouse has deprecated")
	}
}

// TestRightsAreInFilesOfTheirOwn: the linter looks for accounts and roles in these files only.
func TestRightsAreInFilesOfTheirOwn(t *testing.T) {
	rights := regexp.MustCompile(`(?m)^kind: (ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding)$`)
	kind := regexp.MustCompile(`(?m)^kind: (\w+)$`)
	for _, file := range files(t, ".yaml", ".tpl") {
		if !strings.HasPrefix(file, "templates/") {
			continue
		}
		text := read(t, file)
		if filepath.Base(file) == "rbac-for-us.yaml" {
			if all, found := kind.FindAllString(text, -1), rights.FindAllString(text, -1); len(all) != len(found) {
				t.Errorf("%s has something else than accounts and roles: %v", file, all)
			}
		} else if found := rights.FindString(text); found != "" {
			t.Errorf("%s has %q, which belongs into a file rbac-for-us.yaml", file, found)
		}
	}
}

func TestFencedBlocksNameTheirLanguage(t *testing.T) {
	for _, file := range files(t, ".md") {
		open := false
		for number, line := range strings.Split(read(t, file), "\n") {
			fence, found := strings.CutPrefix(strings.TrimSpace(line), "```")
			if !found {
				continue
			}
			if open = !open; open && fence == "" {
				t.Errorf("%s:%d begins a block without a language: ```text, where it is none", file, number+1)
			}
		}
		if open {
			t.Errorf("%s has a block without an end", file)
		}
	}
}
