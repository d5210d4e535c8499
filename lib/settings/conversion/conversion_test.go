package conversion_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/settings/conversion"
	"github.com/deckhouse-mesh/istio/test/support/deckhousetest"
)

// parse returns a document as settings, nil for none.
func parse(t *testing.T, document string) map[string]any {
	t.Helper()
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(document), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// ofTheModule are the module's own conversions.
func ofTheModule(t *testing.T) *conversion.Conversions {
	t.Helper()
	loaded, err := conversion.Load(filepath.Join("..", "..", "..", "openapi", "conversions"))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestSettingsOfEachVersionBecomeThoseOfTheNewest(t *testing.T) {
	const deletePassword, move = "auth.password", "enableHTTP10"
	for name, test := range map[string]struct {
		version        int
		settings, want string
		adviceOn       []string
	}{
		"the first version of this module's settings is written as the newest": {1,
			"{federation: {enabled: true}, tlsMode: Mutual, dataPlane: {enableHTTP10: true, proxyConfig: {idleTimeout: 30m}}, extensionProviders: [{name: a, prometheus: {}}]}",
			"{federation: {enabled: true}, tlsMode: Mutual, dataPlane: {enableHTTP10: true, proxyConfig: {idleTimeout: 30m}}, extensionProviders: [{name: a, prometheus: {}}]}", nil},
		"the password of version 1 goes": {1,
			"{auth: {password: x, allowedUserGroups: [a]}}", "{auth: {allowedUserGroups: [a]}}", []string{deletePassword}},
		"and takes an empty auth with it": {1,
			"{auth: {password: x}, tlsMode: Mutual}", "{tlsMode: Mutual}", []string{deletePassword}},
		"version 1 goes through version 2": {1,
			"{auth: {password: x}, enableHTTP10: true, proxyConfig: {idleTimeout: 10s}}",
			"{dataPlane: {enableHTTP10: true, proxyConfig: {idleTimeout: 10s}}}", []string{deletePassword, move}},
		"version 2 moves HTTP/1.0": {2, "{enableHTTP10: false}", "{dataPlane: {enableHTTP10: false}}", []string{move}},
		"version 2 moves the proxy's configuration beside what is there": {2,
			"{proxyConfig: {holdApplicationUntilProxyStarts: true}, dataPlane: {trafficRedirectionSetupMode: InitContainer}}",
			"{dataPlane: {trafficRedirectionSetupMode: InitContainer, proxyConfig: {holdApplicationUntilProxyStarts: true}}}", []string{move}},
		"what was moved goes before what stood there": {2,
			"{proxyConfig: {idleTimeout: 10s}, dataPlane: {proxyConfig: {idleTimeout: 1h, holdApplicationUntilProxyStarts: true}}}",
			"{dataPlane: {proxyConfig: {idleTimeout: 10s, holdApplicationUntilProxyStarts: true}}}", []string{move}},
		"version 2 retains a password, which the schema rejects": {2, "{auth: {password: x}}", "{auth: {password: x}}", nil},
		"a null below which something is moved":                  {2, "{enableHTTP10: true, dataPlane: null}", "{dataPlane: {enableHTTP10: true}}", []string{move}},
		"an auth that is no object is for the schema to reject":  {1, "{auth: open}", "{auth: open}", nil},
		"a dataPlane that is no object, too":                     {2, "{enableHTTP10: true, dataPlane: fast}", "{enableHTTP10: true, dataPlane: fast}", nil},
		"version 3 is the newest": {3,
			"{enableHTTP10: true, proxyConfig: {idleTimeout: 10s}, auth: {password: x}}",
			"{enableHTTP10: true, proxyConfig: {idleTimeout: 10s}, auth: {password: x}}", nil},
		"no settings at all": {1, "", "", nil},
		"empty settings":     {1, "{}", "{}", nil},
		"a null stays":       {1, "{sidecar: {resourcesManagement: {static: {limits: null}}}}", "{sidecar: {resourcesManagement: {static: {limits: null}}}}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			given := parse(t, test.settings)
			got, err := ofTheModule(t).Convert(test.version, given)
			if err != nil {
				t.Fatal(err)
			}
			if want := parse(t, test.want); !reflect.DeepEqual(got.Settings, want) {
				t.Errorf("got %v, want %v", got.Settings, want)
			}
			if !reflect.DeepEqual(given, parse(t, test.settings)) {
				t.Errorf("the settings given are now %v", given)
			}
			if len(got.Advice) != len(test.adviceOn) {
				t.Fatalf("advice %q, want some on %q", got.Advice, test.adviceOn)
			}
			for index, on := range test.adviceOn {
				if !strings.Contains(got.Advice[index], on) {
					t.Errorf("%q is not about %s", got.Advice[index], on)
				}
			}
		})
	}
}

func TestTheNewestVersionIsTheOneOfTheSchema(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "openapi", "config-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if version := parse(t, string(raw))["x-config-version"]; version != float64(ofTheModule(t).Latest()) {
		t.Errorf("openapi/config-values.yaml has x-config-version %v, openapi/conversions lead to %d", version, ofTheModule(t).Latest())
	}
}

func TestLoad(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no folder":                   {nil, ""},
		"each version once":           {map[string]string{"v2.yaml": "{version: 2, conversions: [.]}", "v3.yaml": "{version: 3, conversions: [.]}", "conversions_test.go": "package"}, ""},
		"a version is missing":        {map[string]string{"v3.yaml": "{version: 3, conversions: [.]}"}, "there is one to version 3 where version 2 comes next"},
		"a version twice":             {map[string]string{"v2.yaml": "{version: 2, conversions: [.]}", "v3.yaml": "{version: 2, conversions: [.]}"}, "there is one to version 2 where version 3 comes next"},
		"no conversions":              {map[string]string{"v2.yaml": "{version: 2}"}, "v2.yaml: conversions is empty"},
		"a query that cannot be read": {map[string]string{"v2.yaml": "{version: 2, conversions: ['if']}"}, `v2.yaml: read "if"`},
		"an unknown field":            {map[string]string{"v2.yaml": "{version: 2, conversion: [.]}"}, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "conversions")
			for file, content := range test.files {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			loaded, err := conversion.Load(dir)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v", err)
			case test.want == "" && loaded.Latest() < conversion.First:
				t.Errorf("the newest version is %d", loaded.Latest())
			}
		})
	}
}

func TestAConversionThatFailsNamesItsVersion(t *testing.T) {
	dir := t.TempDir()
	for _, query := range []string{`error("wrong")`, "empty", "1", ".a.b"} {
		content, err := yaml.Marshal(map[string]any{"version": 2, "conversions": []string{query}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "v2.yaml"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := conversion.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loaded.Convert(1, map[string]any{"a": "x"}); err == nil || !strings.Contains(err.Error(), "convert to version 2: ") {
			t.Errorf("%s: the error is %v", query, err)
		}
	}
}

// Inside Deckhouse the platform converts by this module's files what was written for its own.
func TestTheConversionsAreThoseOfDeckhousesOwnModule(t *testing.T) {
	dir, err := deckhousetest.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := conversion.Load(filepath.Join(dir, "conversions"))
	if err != nil {
		t.Fatal(err)
	}
	ours := ofTheModule(t)
	if theirs.Latest() != ours.Latest() {
		t.Fatalf("Deckhouse's newest version of the settings is %d, this module's %d: add conversions to openapi/conversions", theirs.Latest(), ours.Latest())
	}
	for version := conversion.First; version <= ours.Latest(); version++ {
		for _, document := range []string{
			"{}",
			"{auth: {password: x}}",
			"{auth: {password: x, allowedUserGroups: [a]}, federation: {enabled: true}}",
			"{enableHTTP10: true}",
			"{proxyConfig: {holdApplicationUntilProxyStarts: true, idleTimeout: 10s}}",
			"{enableHTTP10: false, proxyConfig: {}, dataPlane: {trafficRedirectionSetupMode: CNIPlugin}, auth: {password: x}}",
			"{sidecar: {excludeInboundPorts: ['1']}, tracing: {sampling: 50.05}}",
		} {
			want, err := theirs.Convert(version, parse(t, document))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ours.Convert(version, parse(t, document))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Settings, want.Settings) {
				t.Errorf("%s of version %d becomes %v, in Deckhouse %v", document, version, got.Settings, want.Settings)
			}
		}
	}
}
