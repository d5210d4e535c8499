package settings

import (
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestNullLimits(t *testing.T) {
	settings := map[string]any{}
	document := "{sidecar: {resourcesManagement: {static: {limits: {memory: null, cpu: null}}}}, controlPlane: {nodeSelector: null, resourcesManagement: {static: {limits: null}}}}"
	if err := yaml.Unmarshal([]byte(document), &settings); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(NullLimits(settings), " ")
	if want := "sidecar.resourcesManagement.static.limits.cpu sidecar.resourcesManagement.static.limits.memory controlPlane.resourcesManagement.static.limits"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := NullLimits(WithoutNulls(settings)); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestWithoutNulls(t *testing.T) {
	parse := func(document string) map[string]any {
		var parsed map[string]any
		if err := yaml.Unmarshal([]byte(document), &parsed); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, test := range map[string]struct{ settings, want string }{
		"no settings":                       {"", ""},
		"settings without one":              {"{tlsMode: Mutual, tolerations: [{key: a}]}", "{tlsMode: Mutual, tolerations: [{key: a}]}"},
		"both limits of a sidecar":          {"sidecar: {resourcesManagement: {static: {limits: null}}}", "sidecar: {resourcesManagement: {static: {limits: {cpu: 0, memory: 0}}}}"},
		"one limit of a sidecar":            {"sidecar: {resourcesManagement: {static: {limits: {cpu: null, memory: 1Gi}}}}", "sidecar: {resourcesManagement: {static: {limits: {cpu: 0, memory: 1Gi}}}}"},
		"a limit of istiod":                 {"controlPlane: {resourcesManagement: {static: {limits: {memory: null}}}}", "controlPlane: {resourcesManagement: {static: {limits: {memory: 0}}}}"},
		"another setting is not there":      {"{globalVersion: null, sidecar: {resourcesManagement: {static: {requests: {cpu: null}}}}}", "sidecar: {resourcesManagement: {static: {requests: {}}}}"},
		"a part of what is in a list":       {"tolerations: [{key: a, value: null}, null]", "tolerations: [{key: a}, null]"},
		"limits that are a word stay":       {"sidecar: {resourcesManagement: {static: {limits: none}}}", "sidecar: {resourcesManagement: {static: {limits: none}}}"},
		"groups that are words stay so":     {"sidecar: {resourcesManagement: fixed}", "sidecar: {resourcesManagement: fixed}"},
		"a group that is null is not there": {"sidecar: {resourcesManagement: null}", "sidecar: {}"},
	} {
		given := parse(test.settings)
		if got, want := WithoutNulls(given), parse(test.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if !reflect.DeepEqual(given, parse(test.settings)) {
			t.Errorf("%s: the settings given are now %v", name, given)
		}
	}
}
