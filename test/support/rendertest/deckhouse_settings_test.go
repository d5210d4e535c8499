package rendertest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/settings"
	"github.com/deckhouse-mesh/istio/test/support/deckhousetest"
)

// deckhouseKey is what this module makes of one setting of Deckhouse's own module istio.
type deckhouseKey struct {
	// settings that set it to something else than the default.
	settings string
	// beside is what it needs besides, for its effect or for its other values.
	beside string
	effect effect
	// hook that reads it, where effect is byHook.
	hook string
}

// effect of a setting.
type effect int

const (
	// rendered: the manifests differ.
	rendered effect = iota
	// byHook: a hook reads it, whose test shows what follows.
	byHook
	// none: the manifests are the same, and the person learns of it.
	none
)

// theirSchema is a part of Deckhouse's schema.
type theirSchema struct {
	Properties map[string]*theirSchema `json:"properties"`
	Items      *theirSchema            `json:"items"`
	Enum       []any                   `json:"enum"`
	Examples   []any                   `json:"x-examples"`
	Example    any                     `json:"example"`
}

// walk calls do with every setting and group; what is in a list has [] in its path.
func (s *theirSchema) walk(path string, do func(path string, s *theirSchema)) {
	for name, child := range s.Properties {
		child.walk(strings.TrimPrefix(path+"."+name, "."), do)
	}
	if s.Items != nil && len(s.Items.Properties) > 0 {
		s.Items.walk(path+"[]", do)
	}
	if path != "" {
		do(path, s)
	}
}

func (s *theirSchema) isLeaf() bool {
	return len(s.Properties) == 0 && (s.Items == nil || len(s.Items.Properties) == 0)
}

func loadTheirSchema(t *testing.T) *theirSchema {
	t.Helper()
	dir, err := deckhousetest.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(dir, "config-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	schema := &theirSchema{}
	if err := yaml.Unmarshal(document, schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestEverySettingOfDeckhousesOwnModuleHasARow: a setting of a newer Deckhouse needs a decision here.
func TestEverySettingOfDeckhousesOwnModuleHasARow(t *testing.T) {
	theirs := map[string]bool{}
	loadTheirSchema(t).walk("", func(path string, s *theirSchema) {
		if s.isLeaf() {
			theirs[path] = true
		}
	})
	if len(theirs) < 90 {
		t.Errorf("only %d settings were found", len(theirs))
	}
	for _, path := range slices.Sorted(maps.Keys(theirs)) {
		if _, known := deckhouseKeys[path]; !known {
			t.Errorf("Deckhouse's own module has the setting %s: accept it in openapi/config-values.yaml, and add a row that says whether it works", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(deckhouseKeys)) {
		if !theirs[path] {
			t.Errorf("Deckhouse's own module has no setting %s any more: remove its row", path)
		}
	}
}

// TestSettingsOfDeckhousesOwnModuleHaveTheEffectOfTheirRow: none is rejected, and what has no effect says so.
func TestSettingsOfDeckhousesOwnModuleHaveTheEffectOfTheirRow(t *testing.T) {
	m := load(t)
	for _, path := range slices.Sorted(maps.Keys(deckhouseKeys)) {
		row := deckhouseKeys[path]
		t.Run(path, func(t *testing.T) {
			m.accepts(t, row.with(t))
			switch row.effect {
			case byHook:
				if _, err := os.Stat(filepath.Join("..", "..", "..", "hooks", row.hook+".go")); err != nil {
					t.Errorf("the hook is not there: %v", err)
				}
			case rendered:
				if m.manifests(t, row.beside) == m.manifests(t, row.with(t)) {
					t.Error("it changes nothing of the manifests")
				}
			case none:
				if m.manifests(t, row.beside) != m.manifests(t, row.with(t)) {
					t.Error("it changes the manifests")
				}
				if !reported(path, settings.WithoutEffect(fromYAML(t, row.with(t)), true)) {
					t.Error("nobody says that it has no effect")
				}
			}
		})
	}
}

// reported is true when the setting, or a group that it is in, is in the list.
func reported(path string, found []settings.Ineffective) bool {
	return slices.ContainsFunc(found, func(one settings.Ineffective) bool {
		return path == one.Setting || strings.HasPrefix(path, one.Setting+".")
	})
}

// with is the setting beside what it needs, as YAML.
func (k deckhouseKey) with(t *testing.T) string {
	t.Helper()
	merged := fromYAML(t, k.beside)
	mergeInto(merged, fromYAML(t, pem(t).Replace(k.settings)))
	return string(mustYAML(t, merged))
}

// pem puts a CA in the place of words such as %CERT%.
var pem = func() func(t *testing.T) *strings.Replacer {
	made := sync.OnceValues(func() (ca.Bundle, error) { return ca.Generate("cluster-a.local") })
	return func(t *testing.T) *strings.Replacer {
		t.Helper()
		bundle, err := made()
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer("%CERT%", strconv.Quote(bundle.Cert), "%KEY%", strconv.Quote(bundle.Key),
			"%CHAIN%", strconv.Quote(bundle.Chain), "%ROOT%", strconv.Quote(bundle.Root))
	}
}()

func mergeInto(target, source map[string]any) {
	for key, value := range source {
		below, isGroup := value.(map[string]any)
		there, isThere := target[key].(map[string]any)
		if isGroup && isThere {
			mergeInto(there, below)
			continue
		}
		target[key] = value
	}
}

// accepts checks settings as both Deckhouse and the operator do.
func (m module) accepts(t *testing.T, document string) {
	t.Helper()
	parsed := fromYAML(t, document)
	if err := m.settings.Check(parsed); err != nil {
		t.Errorf("the schema rejects\n%s%v", document, err)
	}
	for _, problem := range settings.Check(parsed, nil, time.Now()) {
		t.Errorf("the check of settings rejects\n%s%v", document, problem)
	}
}

// manifests of a cluster that has everything that settings may ask for.
func (m module) manifests(t *testing.T, document string) string {
	t.Helper()
	objects := m.render(t, document, func(v Values) {
		v.Set([]any{"cert-manager", "user-authn", "vertical-pod-autoscaler"}, "global", "enabledModules")
		v.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
	}, "autoscaling.k8s.io/v1/VerticalPodAutoscaler")
	text, err := json.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestValuesAndExamplesOfDeckhousesOwnModuleAreAccepted: each word of an enumeration, each example of its
// schema, and the cases that its own test calls valid.
func TestValuesAndExamplesOfDeckhousesOwnModuleAreAccepted(t *testing.T) {
	m := load(t)
	// Certificates in examples are abbreviated.
	abbreviated := []string{"ca.", "jwksResolverAdditionalRootCA"}
	tried := 0
	loadTheirSchema(t).walk("", func(path string, s *theirSchema) {
		if strings.Contains(path, "[]") || slices.ContainsFunc(abbreviated, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
			return
		}
		values := slices.Concat(s.Enum, s.Examples)
		if s.Example != nil {
			values = append(values, s.Example)
		}
		for _, value := range values {
			beside := deckhouseKeys[path].beside
			if group, isGroup := groups[path]; isGroup {
				beside = group
			}
			document := Values(fromYAML(t, beside))
			document.Set(value, strings.Split(path, ".")...)
			m.accepts(t, string(mustYAML(t, document)))
			tried++
		}
	})
	if tried < 60 {
		t.Errorf("only %d values were found", tried)
	}

	dir, err := deckhousetest.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(dir, "openapi-case-tests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases struct {
		Positive struct {
			ConfigValues []map[string]any `json:"configValues"`
		} `json:"positive"`
	}
	if err := yaml.Unmarshal(document, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases.Positive.ConfigValues) == 0 {
		t.Error("there are no cases")
	}
	for _, values := range cases.Positive.ConfigValues {
		if err := m.settings.Check(values); err != nil {
			t.Errorf("the schema rejects\n%s%v", mustYAML(t, values), err)
		}
	}
}

// groups are what an example of a whole group needs besides.
var groups = map[string]string{
	"alliance.ingressGateway.nodePort": nodePort,
}
