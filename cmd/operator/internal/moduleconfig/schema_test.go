package moduleconfig

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

const exampleConfigValues = `
x-config-version: 2
type: object
default: {}
additionalProperties: false
properties:
  alliance:
    type: object
    default: {}
    additionalProperties: false
    properties:
      inlet: {type: string, enum: [LoadBalancer, NodePort], default: LoadBalancer}
      port: {type: integer, minimum: 1024, maximum: 65535}
      advertise:
        type: array
        items:
          type: object
          required: [address]
          properties:
            address: {type: string}
x-deckhouse-validations:
  - expression: "!has(self.alliance.port) || self.alliance.inlet == 'NodePort'"
    message: "alliance.port needs the inlet NodePort"
`

func exampleSchema(g Gomega) *Schema {
	schema, err := NewSchema([]byte(exampleConfigValues), nil)
	g.Expect(err).NotTo(HaveOccurred())
	return schema
}

func alliance(settings map[string]any) map[string]any { return map[string]any{"alliance": settings} }

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		spec Spec
		want []string
	}{
		"accepts no settings":                       {Spec{}, nil},
		"accepts settings of the known version":     {Spec{Version: 2, Settings: alliance(map[string]any{"inlet": "NodePort", "port": 30443.0})}, nil},
		"accepts settings without a version":        {Spec{Settings: alliance(map[string]any{"inlet": "NodePort"})}, nil},
		"names the setting that has a wrong value":  {Spec{Settings: alliance(map[string]any{"inlet": "Foo"})}, []string{"spec.settings.alliance.inlet: should be one of [LoadBalancer NodePort]"}},
		"names the setting that has the wrong type": {Spec{Settings: alliance(map[string]any{"inlet": "NodePort", "port": "x"})}, []string{`spec.settings.alliance.port: must be of type integer: "string"`}},
		"names every wrong setting, sorted": {Spec{Settings: map[string]any{"bogus": true, "alliance": map[string]any{"inlet": "Foo"}}}, []string{
			"spec.settings.alliance.inlet: should be one of [LoadBalancer NodePort]", "spec.settings.bogus: there is no such setting"}},
		"names the setting inside a list":         {Spec{Settings: alliance(map[string]any{"advertise": []any{map[string]any{"address": "a"}, map[string]any{}}})}, []string{"spec.settings.alliance.advertise.address: is required"}},
		"applies defaults before rules":           {Spec{Settings: alliance(map[string]any{"port": 30443.0})}, []string{"spec.settings: alliance.port needs the inlet NodePort"}},
		"rejects a version from the future alone": {Spec{Version: 3, Settings: map[string]any{"new": true}}, []string{"spec.version: 3 is newer than 2, the newest version this module knows: update the module or lower the version"}},
		"rejects a version that never was":        {Spec{Version: 1.5}, []string{"spec.version: there is no version 1.5, use 2"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var got []string
			for _, err := range exampleSchema(g).Check(c.spec, nil) {
				got = append(got, err.Error())
			}
			g.Expect(got).To(Equal(c.want))
		})
	}
}

func TestCheckDoesNotTouchTheSettings(t *testing.T) {
	g := NewWithT(t)
	settings := alliance(map[string]any{})
	g.Expect(exampleSchema(g).Check(Spec{Settings: settings}, nil)).To(BeEmpty())
	g.Expect(settings).To(Equal(alliance(map[string]any{})))
}

func TestLoadSchemas(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	write := func(path, content string) {
		file := filepath.Join(root, path)
		g.Expect(os.MkdirAll(filepath.Dir(file), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(file, []byte(content), 0o600)).To(Succeed())
	}
	write("modules/values.yaml", "")
	write("modules/110-istio/openapi/config-values.yaml", exampleConfigValues)
	write("modules/110-istio/openapi/conversions/v2.yaml", "{version: 2, conversions: [.]}")
	write("modules/020-without-settings/Chart.yaml", "")
	write("global-hooks/openapi/config-values.yaml", "{type: object, additionalProperties: false}")

	schemas, err := LoadSchemas(filepath.Join(root, "modules"), filepath.Join(root, "global-hooks"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(schemas).To(And(HaveLen(2), HaveKey("istio"), HaveKey("global")))
	g.Expect(schemas["istio"].version).To(Equal(2))
	g.Expect(schemas["global"].version).To(Equal(1))

	write("modules/110-istio/openapi/config-values.yaml", "type: [")
	_, err = LoadSchemas(filepath.Join(root, "modules"), filepath.Join(root, "global-hooks"))
	g.Expect(err).To(MatchError(ContainSubstring("110-istio")))
}

func TestTheModulesOwnSchemasLoad(t *testing.T) {
	g := NewWithT(t)
	root := filepath.Join("..", "..", "..", "..")
	schemas, err := LoadSchemas(filepath.Join(root, "modules"), filepath.Join(root, "global-hooks"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(schemas).To(And(HaveKey("istio"), HaveKey("global")))
	for name, schema := range schemas {
		g.Expect(schema.Check(Spec{}, nil)).To(BeEmpty(), "the defaults of %s must be valid", name)
	}
}

func TestPublicDomainTemplate(t *testing.T) {
	g := NewWithT(t)
	root := filepath.Join("..", "..", "..", "..")
	schemas, err := LoadSchemas(filepath.Join(root, "modules"), filepath.Join(root, "global-hooks"))
	g.Expect(err).NotTo(HaveOccurred())
	for template, valid := range map[string]bool{
		"%s.example.com":     true,
		"%s-kube.example.ru": true,
		"kube-%s.example.ru": true,
		"a-%s-b.example.com": true,
		"example.com":        false,
		"%s":                 false,
		"https://%s.x.com":   false,
		"%s.%s.example.com":  false,
	} {
		spec := Spec{Settings: map[string]any{"modules": map[string]any{"publicDomainTemplate": template}}}
		g.Expect(len(schemas["global"].Check(spec, nil)) == 0).To(Equal(valid), template)
	}
}
