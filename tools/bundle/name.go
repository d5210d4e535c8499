package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// nameForm is what a name of the module may be: Deckhouse makes a key of values of it.
var nameForm = regexp.MustCompile(`^istio(-[a-z]+)*$`)

// enabledProgram is what addon-operator asks whether the module may be on; it is in bundles with a second name only.
const enabledProgram = "enabled"

// A mention is a form in which the project's files name the module: the parts of
// the pattern around the name stay.
type mention struct {
	pattern *regexp.Regexp
	key     bool // of values, not the name itself
}

// mentions lists all that are rewritten, by the file or folder that may name the module. Those of Istio and Deckhouse (files/,
// charts/, crds/istio/) do not. Names of objects, hosts, metrics and CRDs are none: peers, alerts and people know them by these names.
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

// rename writes the bundle's name wherever the entry names the module.
func (b bundle) rename(entry oci.Entry) (oci.Entry, error) {
	if b.name == names.Embedded {
		return entry, nil
	}
	for prefix, forms := range mentions {
		inFolder := strings.HasSuffix(prefix, "/") && strings.HasPrefix(entry.Path, prefix)
		if entry.Path != prefix && !inFolder {
			continue
		}
		content, err := os.ReadFile(entry.From)
		if err != nil {
			return oci.Entry{}, fmt.Errorf("lay out the module as %s: %w", b.name, err)
		}
		text := string(content)
		for _, form := range forms {
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
