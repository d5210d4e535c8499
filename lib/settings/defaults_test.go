package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestDefaultsAreThoseOfTheSchema: settings that leave something out are judged by what they then mean.
func TestDefaultsAreThoseOfTheSchema(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "openapi", "config-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]any{}
	if err := yaml.Unmarshal(document, &schema); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(defaultsOf(schema))
	if err != nil {
		t.Fatal(err)
	}
	var want checked
	if err := json.Unmarshal(encoded, &want); err != nil {
		t.Fatal(err)
	}
	got := defaults()
	for name, pair := range map[string][2]any{
		"sidecar.resourcesManagement.static":          {got.Sidecar.ResourcesManagement.Static, want.Sidecar.ResourcesManagement.Static},
		"sidecar.resourcesManagement.vpa":             {got.Sidecar.ResourcesManagement.VPA, want.Sidecar.ResourcesManagement.VPA},
		"controlPlane.resourcesManagement.static":     {got.ControlPlane.ResourcesManagement.Static, want.ControlPlane.ResourcesManagement.Static},
		"controlPlane.resourcesManagement.vpa.cpu":    {got.ControlPlane.ResourcesManagement.VPA.CPU, want.ControlPlane.ResourcesManagement.VPA.CPU},
		"controlPlane.resourcesManagement.vpa.memory": {got.ControlPlane.ResourcesManagement.VPA.Memory, want.ControlPlane.ResourcesManagement.VPA.Memory},
		"dataPlane.proxyConfig":                       {got.DataPlane.ProxyConfig, want.DataPlane.ProxyConfig},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s is %+v, in the schema %+v", name, pair[0], pair[1])
		}
	}
}

// defaultsOf is the value that the defaults of a schema make up.
func defaultsOf(schema map[string]any) any {
	properties, isObject := schema["properties"].(map[string]any)
	if !isObject {
		return schema["default"]
	}
	value := map[string]any{}
	for name, property := range properties {
		if v := defaultsOf(property.(map[string]any)); v != nil {
			value[name] = v
		}
	}
	return value
}
