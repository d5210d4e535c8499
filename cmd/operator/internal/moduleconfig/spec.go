// Package moduleconfig feeds addon-operator from ModuleConfig resources
// (deckhouse.io/v1alpha1), as Deckhouse does: what a person sets there is
// checked before it takes effect, and its status explains why settings are rejected.
package moduleconfig

import (
	"encoding/json"
	"fmt"

	"github.com/flant/addon-operator/pkg/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GlobalName is the ModuleConfig whose settings are the global values.
const GlobalName = utils.GlobalValuesKey

// Resource is where ModuleConfigs are served.
var Resource = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "moduleconfigs"}

// Spec is what a ModuleConfig asks for. The zero value is that of a
// ModuleConfig that does not exist: the module's defaults.
type Spec struct {
	// Enabled switches the module on or off; nil leaves it to the default.
	Enabled *bool `json:"enabled,omitempty"`
	// Version of the schema that Settings follow; 0 means the newest known.
	Version float64 `json:"version,omitempty"`
	// Settings of the module, after its openapi/config-values.yaml.
	Settings map[string]any `json:"settings,omitempty"`
	// Maintenance is empty or NoResourceReconciliation.
	Maintenance string `json:"maintenance,omitempty"`
}

// status is the part of a ModuleConfig that this package writes.
type status struct {
	// Version of the settings schema in use.
	Version string `json:"version"`
	// Message says what a person has to correct; empty when all is in force.
	Message string `json:"message"`
}

// parse reads spec and status of a ModuleConfig.
func parse(object *unstructured.Unstructured) (Spec, status, error) {
	var content struct {
		Spec   Spec   `json:"spec"`
		Status status `json:"status"`
	}
	raw, err := json.Marshal(object.Object)
	if err == nil {
		err = json.Unmarshal(raw, &content)
	}
	if err != nil {
		return Spec{}, status{}, fmt.Errorf("read ModuleConfig %q: %w", object.GetName(), err)
	}
	return content.Spec, content.Status, nil
}

// isOff is true when the module is switched off explicitly.
func (s Spec) isOff() bool { return s.Enabled != nil && !*s.Enabled }

// moduleConfig is s in the form that addon-operator takes. Its values are a copy.
func (s Spec) moduleConfig(name string) utils.ModuleConfig {
	out := *utils.NewModuleConfig(name, s.values(utils.ModuleNameToValuesKey(name)))
	out.IsEnabled = s.Enabled
	if s.Maintenance != "" {
		out.Maintenance = utils.Maintenance(s.Maintenance)
	}
	return out
}

// values returns a copy of the settings below key. Without settings it is
// empty, which addon-operator takes for "the defaults".
func (s Spec) values(key string) utils.Values {
	if len(s.Settings) == 0 {
		return utils.Values{}
	}
	return utils.Values{key: copySettings(s.Settings)}
}

// copySettings returns a deep copy of settings, which came from JSON; of none, an empty map.
func copySettings(settings map[string]any) map[string]any {
	if settings == nil {
		return map[string]any{}
	}
	return runtime.DeepCopyJSON(settings)
}
