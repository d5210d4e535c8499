// Package conversion brings settings of an older version to the newest one, by
// the files of openapi/conversions. Inside Deckhouse the platform does that, so
// what the files may hold, and what is made of them, is as it has it.
package conversion

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/itchyny/gojq"
	"sigs.k8s.io/yaml"
)

// First is the version of settings that no file leads to.
const First = 1

// Conversions of one module's settings.
type Conversions struct {
	// steps lead from First to Latest, one version each.
	steps []step
}

// step leads to a version from the one before it.
type step struct {
	version int
	queries []*gojq.Query
	advice  string
}

// file is one of openapi/conversions.
type file struct {
	Version     int      `json:"version"`
	Conversions []string `json:"conversions"`
	Description struct {
		English string `json:"en"`
		Russian string `json:"ru"`
	} `json:"description"`
}

// Load reads the *.yaml files of a folder. Each version from the second one on
// needs one. A folder that does not exist means that there is only the first version.
func Load(dir string) (*Conversions, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list conversions of settings: %w", err)
	}
	out := &Conversions{}
	for _, path := range paths {
		read, err := load(path)
		if err != nil {
			return nil, fmt.Errorf("load conversion of settings %s: %w", path, err)
		}
		out.steps = append(out.steps, read)
	}
	slices.SortFunc(out.steps, func(a, b step) int { return a.version - b.version })
	for index, step := range out.steps {
		if want := First + 1 + index; step.version != want {
			return nil, fmt.Errorf("conversions of settings in %s: there is one to version %d where version %d comes next", dir, step.version, want)
		}
	}
	return out, nil
}

func load(path string) (step, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return step{}, err
	}
	var content file
	if err := yaml.UnmarshalStrict(raw, &content); err != nil {
		return step{}, err
	}
	if len(content.Conversions) == 0 {
		return step{}, errors.New("conversions is empty")
	}
	out := step{version: content.Version, advice: content.Description.English}
	for _, text := range content.Conversions {
		query, err := gojq.Parse(text)
		if err != nil {
			return step{}, fmt.Errorf("read %q: %w", text, err)
		}
		out.queries = append(out.queries, query)
	}
	return out, nil
}

// Latest is the newest version of the settings.
func (c *Conversions) Latest() int { return First + len(c.steps) }

// Result of a conversion.
type Result struct {
	// Settings of the newest version.
	Settings map[string]any
	// Advice says how a person writes them so, one sentence for each version that changed something.
	Advice []string
}

// Convert brings settings, which come from JSON and stay as they are, from version, which
// is one from First to Latest, to the newest one.
func (c *Conversions) Convert(version int, settings map[string]any) (Result, error) {
	if settings == nil {
		return Result{}, nil
	}
	current, err := plain(settings)
	if err != nil {
		return Result{}, err
	}
	out := Result{Settings: current}
	for _, step := range c.steps {
		if step.version <= version {
			continue
		}
		changed, err := step.convert(out.Settings)
		if err != nil {
			return Result{}, fmt.Errorf("convert to version %d: %w", step.version, err)
		}
		if !reflect.DeepEqual(changed, out.Settings) {
			out.Settings = changed
			out.Advice = append(out.Advice, step.advice)
		}
	}
	return out, nil
}

func (s step) convert(settings map[string]any) (map[string]any, error) {
	// A query may change what it is given.
	current, err := plain(settings)
	if err != nil {
		return nil, err
	}
	for _, query := range s.queries {
		results := query.Run(current)
		result, _ := results.Next()
		if err, failed := result.(error); failed {
			return nil, err
		}
		converted, isObject := result.(map[string]any)
		if !isObject {
			return nil, fmt.Errorf("%s makes %T of the settings", query, result)
		}
		current = converted
	}
	return plain(current)
}

// plain returns a copy as encoding/json would decode it.
func plain(settings map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(raw, &out)
}
