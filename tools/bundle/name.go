package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// nameForm is what a name of the module may be: Deckhouse makes a key of values of it.
var nameForm = regexp.MustCompile(`^istio(-[a-z]+)*$`)

// enabledProgram is what addon-operator asks whether the module may be on; it is in bundles with a second name only.
const enabledProgram = "enabled"

// ours are the files that may name the module. Those of Istio and Deckhouse (files/, charts/, crds/istio/) do not.
var ours = []string{"Chart.yaml", "module.yaml", "templates/", "monitoring/", "docs/"}

// A mention is a form in which the project's files name the module: the parts of
// the pattern around the name stay.
type mention struct {
	pattern *regexp.Regexp
	key     bool // of values, not the name itself
}

// mentions lists all that are rewritten. Names of objects, hosts, metrics and CRDs are
// none: peers, alerts and people know them by these names.
var mentions = map[string][]mention{
	"Chart.yaml":  {{regexp.MustCompile(`(?m)^(name: )istio()$`), false}},
	"module.yaml": {{regexp.MustCompile(`(?m)^(name: )istio()$`), false}},
	"templates/":  {{regexp.MustCompile(`(\.Values\.)istio(\W)`), true}, moduleConfig},
	"monitoring/": {{regexp.MustCompile(`(\.Values\.)istio(\W)`), true}, moduleConfig},
	"docs/": {
		moduleConfig,
		{regexp.MustCompile(`(?m)^(title: "\S+ )istio(")`), false},
		{regexp.MustCompile(`(kubectl [a-z ]*moduleconfig )istio(\s)`), false},
		{regexp.MustCompile(`(kind: ModuleConfig\nmetadata:\n +name: )istio(\n)`), false},
	},
}

var moduleConfig = mention{regexp.MustCompile("(ModuleConfig `?)istio([^-\\w])"), false}

// named returns the entries of a module that has the bundle's name.
func (b bundle) named(entries []oci.Entry) ([]oci.Entry, error) {
	if b.name == names.Embedded {
		return entries, nil
	}
	renamed := []oci.Entry{oci.Program(enabledProgram, filepath.Join(b.programs(), enabledProgram))}
	for _, entry := range entries {
		entry, err := b.rename(entry)
		if err != nil {
			return nil, err
		}
		renamed = append(renamed, entry)
	}
	return renamed, nil
}

// rename writes the bundle's name wherever the entry names the module.
func (b bundle) rename(entry oci.Entry) (oci.Entry, error) {
	if b.name == names.Embedded {
		return entry, nil
	}
	for _, prefix := range ours {
		inFolder := strings.HasSuffix(prefix, "/") && strings.HasPrefix(entry.Path, prefix)
		if entry.Path != prefix && !inFolder {
			continue
		}
		content, err := os.ReadFile(entry.From)
		if err != nil {
			return oci.Entry{}, fmt.Errorf("lay out the module as %s: %w", b.name, err)
		}
		text := string(content)
		for _, form := range mentions[prefix] {
			name := b.name
			if form.key {
				name = names.KeyOf(name)
			}
			text = form.pattern.ReplaceAllString(text, "${1}"+name+"${2}")
		}
		return oci.Text(entry.Path, text), nil
	}
	return entry, nil
}
