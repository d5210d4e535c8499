package moduleconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/flant/addon-operator/pkg/utils"
	"github.com/flant/addon-operator/pkg/values/validation"
	"github.com/hashicorp/go-multierror"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/settings/conversion"
)

// warningPrefix begins the message of settings that are in force, and that a person should reconsider.
const warningPrefix = "Warning: "

// settingsPath is how a person sees the root of the settings.
const settingsPath = "spec.settings"

// Schema knows which settings of one ModuleConfig are acceptable.
type Schema struct {
	// version is the newest version of the settings, x-config-version in the file.
	version int
	storage *validation.SchemaStorage
	// conversions lead from older versions of the settings to version.
	conversions *conversion.Conversions
	// Sense checks what a schema cannot: whether settings that are new make
	// sense together and at this time. previous are those accepted before, nil if
	// none were. Each error begins with the setting's name. Nil checks nothing.
	Sense func(settings, previous map[string]any) error
	// Settle returns settings that are accepted in the form in which addon-operator can apply them. Nil changes nothing.
	Settle func(settings map[string]any) map[string]any
	// Warn returns what a person should know at this time of settings that are
	// in force, one sentence each. Nil warns of nothing.
	Warn func(settings map[string]any) []string
}

// NewSchema reads a schema from openapi/config-values.yaml and, because
// addon-operator wants both at once, values.yaml; either may be empty.
func NewSchema(configValues, values []byte) (*Schema, error) {
	storage, err := validation.NewSchemaStorage(configValues, values)
	if err != nil {
		return nil, err
	}
	header := struct {
		Version int `json:"x-config-version"`
	}{Version: 1}
	if err := yaml.Unmarshal(configValues, &header); err != nil {
		return nil, fmt.Errorf("read x-config-version: %w", err)
	}
	return &Schema{version: header.Version, storage: storage, conversions: &conversion.Conversions{}}, nil
}

// loadConversions has the schema accept settings of older versions, by the files of dir.
func (s *Schema) loadConversions(dir string) error {
	loaded, err := conversion.Load(dir)
	if err != nil {
		return err
	}
	if loaded.Latest() != s.version {
		return fmt.Errorf("%s leads to version %d of the settings, x-config-version is %d", dir, loaded.Latest(), s.version)
	}
	s.conversions = loaded
	return nil
}

// moduleFolder is the name of a module's folder: an order and the module's name.
var moduleFolder = regexp.MustCompile(`^(?:[0-9]+-)?(.+)$`)

// LoadSchemas reads the schemas of the global settings and of every module that
// has settings, by the name of the ModuleConfig.
func LoadSchemas(modulesDir, globalHooksDir string) (map[string]*Schema, error) {
	schemas := map[string]*Schema{}
	load := func(name, dir string) error {
		configValues, values, err := utils.ReadOpenAPIFiles(filepath.Join(dir, "openapi"))
		if err != nil {
			return fmt.Errorf("load the settings schema of %q: %w", name, err)
		}
		schemas[name], err = NewSchema(configValues, values)
		if err != nil {
			return fmt.Errorf("load the settings schema of %q from %s: %w", name, dir, err)
		}
		if err := schemas[name].loadConversions(filepath.Join(dir, "openapi", "conversions")); err != nil {
			return fmt.Errorf("load the settings schema of %q: %w", name, err)
		}
		return nil
	}

	if err := load(GlobalName, globalHooksDir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(modulesDir)
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	for _, entry := range entries {
		dir := filepath.Join(modulesDir, entry.Name())
		if info, err := os.Stat(filepath.Join(dir, "openapi")); err != nil || !info.IsDir() {
			continue
		}
		if err := load(moduleFolder.FindStringSubmatch(entry.Name())[1], dir); err != nil {
			return nil, err
		}
	}
	return schemas, nil
}

// Check returns what is wrong with spec, one error for each thing to correct.
// previous are the settings in force, for rules about changes; nil if none are.
func (s *Schema) Check(spec Spec, previous map[string]any) []error {
	if err := s.checkVersion(spec.Version); err != nil {
		return []error{err}
	}
	// addon-operator validates settings with defaults filled in; so does this.
	settings := s.withDefaults(spec.Settings)
	var old utils.Values
	if previous != nil {
		old = utils.Values{settingsPath: s.withDefaults(previous)}
	}
	err := s.storage.ValidateTransition(validation.ConfigValuesSchema, settingsPath, utils.Values{settingsPath: settings}, old)
	return explain(err)
}

// warning is what the status says of settings that are accepted and applied, besides advice; empty when there is nothing to warn of.
func (s *Schema) warning(spec Spec, advice []string) string {
	if spec.isOff() {
		return ""
	}
	warnings := slices.Clone(advice)
	if s.Warn != nil {
		warnings = append(warnings, s.Warn(copySettings(spec.Settings))...)
	}
	if len(warnings) == 0 {
		return ""
	}
	return warningPrefix + strings.Join(warnings, "; ")
}

func (s *Schema) checkVersion(version float64) error {
	switch {
	case version == 0, version == float64(s.version):
		return nil
	case version > float64(s.version):
		return fmt.Errorf("spec.version: %v is newer than %d, the newest version this module knows: update the module or lower the version", version, s.version)
	default:
		return fmt.Errorf("spec.version: there is no version %v, use %d", version, s.version)
	}
}

func (s *Schema) withDefaults(settings map[string]any) map[string]any {
	out := copySettings(settings)
	validation.ApplyDefaults(out, s.storage.Schemas[validation.ConfigValuesSchema])
	return out
}

// explain turns the validator's error into one error for each setting, led by
// the path of the setting.
func explain(err error) []error {
	if err == nil {
		return nil
	}
	var out []error
	for _, problem := range flatten(err) {
		text := strings.TrimSpace(problem.Error())
		text = strings.Replace(text, " in body", ":", 1)
		text = strings.Replace(text, ": is a forbidden property", ": there is no such setting", 1)
		if !strings.HasPrefix(text, settingsPath) {
			text = settingsPath + ": " + strings.TrimPrefix(text, ".")
		}
		out = append(out, errors.New(text))
	}
	slices.SortFunc(out, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return slices.CompactFunc(out, func(a, b error) bool { return a.Error() == b.Error() })
}

func flatten(err error) []error {
	var parts []error
	var multiple *multierror.Error
	if errors.As(err, &multiple) {
		parts = multiple.Errors
	} else if several, ok := err.(interface{ Unwrap() []error }); ok {
		parts = several.Unwrap()
	} else {
		return []error{err}
	}
	var out []error
	for _, part := range parts {
		out = append(out, flatten(part)...)
	}
	return out
}
