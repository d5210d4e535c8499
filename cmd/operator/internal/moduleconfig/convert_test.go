package moduleconfig

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// converting is the example's schema with a conversion from version 1, in which the inlet stood at the top.
func converting(g Gomega, dir string) *Schema {
	schema := exampleSchema(g)
	conversions := "{version: 2, conversions: ['if has(\"inlet\") then .alliance.inlet = .inlet | del(.inlet) else . end'], description: {en: Move inlet.}}"
	g.Expect(os.WriteFile(filepath.Join(dir, "v2.yaml"), []byte(conversions), 0o600)).To(Succeed())
	g.Expect(schema.loadConversions(dir)).To(Succeed())
	return schema
}

func TestDecideOnSettingsOfOlderVersions(t *testing.T) {
	yes := true
	oldNodePort := Spec{Enabled: &yes, Version: 1, Settings: map[string]any{"inlet": "NodePort"}}
	newNodePort := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "NodePort"})}
	oldBad := Spec{Enabled: &yes, Version: 1, Settings: map[string]any{"inlet": "Foo"}}
	oldBroken := Spec{Enabled: &yes, Version: 1, Settings: map[string]any{"inlet": "NodePort", "alliance": "x"}}
	asNow := Spec{Enabled: &yes, Version: 1, Settings: newNodePort.Settings}
	tooNew := Spec{Enabled: &yes, Version: 3, Settings: newNodePort.Settings}
	advice := []string{"the settings are of version 1 and converted to 2, to write them as version 2: Move inlet."}

	for name, c := range map[string]struct {
		wanted, lastGood *Spec
		want             verdict
	}{
		"they take effect converted, and the status names their version": {&oldNodePort, nil,
			verdict{effective: newNodePort, lastGood: &newNodePort, status: status{Version: "1"}, advice: advice}},
		"those that the conversion does not change need no advice": {&asNow, nil,
			verdict{effective: newNodePort, lastGood: &newNodePort, status: status{Version: "1"}}},
		"those of an earlier release of the module to fall back to are converted, too": {&oldBad, &oldNodePort,
			verdict{effective: newNodePort, lastGood: &newNodePort, status: status{Version: "2",
				Message: "Invalid, the previous settings stay in force: spec.settings.alliance.inlet: should be one of [LoadBalancer NodePort]"}}},
		"those that cannot be converted leave the last good ones in force": {&oldBroken, &newNodePort,
			verdict{effective: newNodePort, lastGood: &newNodePort, status: status{Version: "2",
				Message: `Invalid, the previous settings stay in force: spec.settings: are of version 1: convert to version 2: ` +
					`setpath(["alliance","inlet"]; "NodePort") cannot be applied to {"alliance":"x","inlet":" ...}: expected an object but got: string ("x"): ` +
					`correct them, or write them as version 2`}}},
		"those of a version that is not known yet, too": {&tooNew, &newNodePort,
			verdict{effective: newNodePort, lastGood: &newNodePort, status: status{Version: "2",
				Message: "Invalid, the previous settings stay in force: spec.version: 3 is newer than 2, the newest version this module knows: update the module or lower the version"}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(decide(converting(g, t.TempDir()), c.wanted, nil, c.lastGood)).To(Equal(c.want))
		})
	}
}

func TestAConversionIsReportedInTheStatusAlone(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "version": 1.0, "settings": map[string]any{"inlet": "NodePort"}})
	c.runsWith(inlet("NodePort"))
	backend := c.backend(g)
	backend.Schemas["istio"] = converting(g, t.TempDir())
	loaded, _ := start(t, g, backend)
	g.Expect(loaded.Modules["istio"].GetValues()).To(BeEquivalentTo(inlet("NodePort")), "addon-operator gets the newest version")
	g.Eventually(func() status { return c.status(g, "istio") }, deadline).Should(Equal(status{Version: "1",
		Message: "Warning: the settings are of version 1 and converted to 2, to write them as version 2: Move inlet."}))
	g.Expect(c.isInvalid("istio")).To(BeFalse())
	g.Expect(c.events.Events).NotTo(Receive())
}

func TestConversionsMustLeadToTheSchemasVersion(t *testing.T) {
	g := NewWithT(t)
	schema := exampleSchema(g)
	g.Expect(schema.loadConversions(filepath.Join(t.TempDir(), "none"))).To(MatchError(ContainSubstring("leads to version 1 of the settings, x-config-version is 2")))
}

// The module's own schema, with the settings that people have.
func TestTheModuleAcceptsSettingsOfEachVersion(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	for name, c := range map[string]struct {
		version  float64
		settings map[string]any
		want     string
	}{
		"version 1, as this module had it":      {1, map[string]any{"dataPlane": map[string]any{"enableHTTP10": true}, "extensionProviders": []any{}}, ""},
		"version 1, as Deckhouse's had it":      {1, map[string]any{"auth": map[string]any{"password": "x"}, "enableHTTP10": true}, ""},
		"version 2":                             {2, map[string]any{"proxyConfig": map[string]any{"idleTimeout": "30m"}}, ""},
		"version 3":                             {3, map[string]any{"dataPlane": map[string]any{"accessLog": map[string]any{"type": "JSON"}}}, ""},
		"none":                                  {0, map[string]any{"dataPlane": map[string]any{"accessLog": map[string]any{}}}, ""},
		"version 2 with what version 1 had":     {2, map[string]any{"auth": map[string]any{"password": "x"}}, "spec.settings.auth.password: there is no such setting"},
		"version 3 with what version 2 had":     {3, map[string]any{"enableHTTP10": true}, "spec.settings.enableHTTP10: there is no such setting"},
		"version 2 with a value that is wrong":  {2, map[string]any{"proxyConfig": map[string]any{"idleTimeout": 1.0}}, "spec.settings.dataPlane.proxyConfig.idleTimeout: must be of type string"},
		"version 1 with a group that is a word": {1, map[string]any{"auth": "open"}, "spec.settings.auth: must be of type object"},
		"version 4":                             {4, nil, "spec.version: 4 is newer than 3, the newest version this module knows"},
		"version -1":                            {-1, nil, "spec.version: there is no version -1, use 3"},
		"a quantity that is none": {3, map[string]any{"sidecar": map[string]any{"resourcesManagement": map[string]any{"static": map[string]any{
			"requests": map[string]any{"cpu": "half"}}}}}, "spec.settings.sidecar.resourcesManagement.static.requests.cpu: should match"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			schemas, err := LoadSchemas(filepath.Join(root, "modules"), filepath.Join(root, "global-hooks"))
			g.Expect(err).NotTo(HaveOccurred())
			yes := true
			verdict := decide(schemas["istio"], &Spec{Enabled: &yes, Version: c.version, Settings: c.settings}, nil, nil)
			if c.want == "" {
				g.Expect(verdict.status.Message).To(BeEmpty())
			} else {
				g.Expect(verdict.status.Message).To(ContainSubstring(c.want))
			}
		})
	}
}

func TestSettingsThatAreAcceptedAreSettled(t *testing.T) {
	g := NewWithT(t)
	yes := true
	schema := exampleSchema(g)
	seen := 0
	schema.Settle = func(settings map[string]any) map[string]any {
		out := copySettings(settings)
		delete(out, "alliance")
		return out
	}
	schema.Sense = func(settings, _ map[string]any) error {
		seen++
		g.Expect(settings).To(BeEmpty(), "sense is about what takes effect")
		return nil
	}
	wanted := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "NodePort"})}
	first := decide(schema, &wanted, nil, nil)
	g.Expect(first.effective.Settings).To(BeEmpty())
	g.Expect(decide(schema, &wanted, nil, first.lastGood)).To(Equal(first))
	g.Expect(seen).To(Equal(1), "settled settings are those that were accepted before")
	bad := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "Foo"})}
	g.Expect(decide(schema, &bad, nil, nil).status.Message).To(ContainSubstring("alliance.inlet"), "the schema sees what the person wrote")
}
