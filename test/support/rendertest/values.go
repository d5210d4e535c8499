package rendertest

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flant/addon-operator/pkg/utils"
	"github.com/flant/addon-operator/pkg/values/validation"
	"sigs.k8s.io/yaml"
)

var (
	//go:embed testdata/global-values.yaml
	globalValues []byte
	//go:embed testdata/internal-values.yaml
	internalValues []byte
)

// Values are what Helm gets: "global" and "istio".
type Values map[string]any

// Settings are the schemas of openapi/, as addon-operator applies them.
type Settings struct{ schemas *validation.SchemaStorage }

// LoadSettings loads openapi/ of the project in root.
func LoadSettings(root string) (*Settings, error) {
	config, err := os.ReadFile(filepath.Join(root, "openapi", "config-values.yaml"))
	if err != nil {
		return nil, err
	}
	values, err := os.ReadFile(filepath.Join(root, "openapi", "values.yaml"))
	if err != nil {
		return nil, err
	}
	schemas, err := validation.NewSchemaStorage(config, values)
	if err != nil {
		return nil, fmt.Errorf("load openapi/: %w", err)
	}
	return &Settings{schemas: schemas}, nil
}

// Check validates spec.settings of a ModuleConfig; the error names what is wrong.
func (s *Settings) Check(settings map[string]any) error {
	return s.schemas.ValidateConfigValues("istio", utils.Values{"istio": settings})
}

// Values completes the settings with their defaults, with what the hooks of a
// cluster with peers compute and with the facts of a cluster (testdata/), and
// validates the result.
func (s *Settings) Values(settings map[string]any) (Values, error) {
	if err := s.Check(settings); err != nil {
		return nil, fmt.Errorf("invalid settings: %w", err)
	}
	global, err := parseYAML(globalValues)
	if err != nil {
		return nil, fmt.Errorf("parse global values: %w", err)
	}
	internal, err := parseYAML(internalValues)
	if err != nil {
		return nil, fmt.Errorf("parse internal values: %w", err)
	}
	istio := (utils.Values)(settings).Copy()
	istio["internal"] = internal
	for _, schema := range []validation.SchemaType{validation.ConfigValuesSchema, validation.ValuesSchema} {
		validation.ApplyDefaults(istio, s.schemas.Schemas[schema])
	}
	if err := s.schemas.ValidateModuleHelmValues("istio", utils.Values{"istio": map[string]any(istio)}); err != nil {
		return nil, fmt.Errorf("invalid values: %w", err)
	}
	return Values{"global": global, "istio": map[string]any(istio)}, nil
}

// Set changes the value at a path such as "global", "modules", "https"; parents that are missing are made.
func (v Values) Set(value any, path ...string) {
	parent := map[string]any(v)
	for _, key := range path[:len(path)-1] {
		child, ok := parent[key].(map[string]any)
		if !ok {
			child = map[string]any{}
			parent[key] = child
		}
		parent = child
	}
	parent[path[len(path)-1]] = value
}

func parseYAML(document []byte) (map[string]any, error) {
	parsed := map[string]any{}
	return parsed, yaml.UnmarshalStrict(document, &parsed)
}
