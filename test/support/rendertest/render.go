package rendertest

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// Render renders the module of the project around the working directory with
// settings, which are YAML, for a cluster that serves apis besides Kubernetes'
// own. change, unless nil, edits the values.
func Render(settings string, change func(Values), apis ...string) (Objects, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	chart, err := LoadChart(root)
	if err != nil {
		return nil, err
	}
	schemas, err := LoadSettings(root)
	if err != nil {
		return nil, err
	}
	parsed := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(settings), &parsed); err != nil {
		return nil, fmt.Errorf("parse settings: %w", err)
	}
	values, err := schemas.Values(parsed)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(values)
	}
	return chart.Render(values, apis...)
}
