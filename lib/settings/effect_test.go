package settings

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestWithoutEffect(t *testing.T) {
	for name, test := range map[string]struct {
		settings string
		dex      bool
		want     []string
	}{
		"nothing in no settings":              {"{}", false, nil},
		"nothing in defaults":                 {"{dataPlane: {trafficRedirectionSetupMode: InitContainer, extensionProviders: []}, auth: {satisfyAny: false}, tracing: {kiali: {}}}", false, nil},
		"ztunnel":                             {"dataPlane: {ztunnel: {resourcesManagement: {mode: Static}}}", true, []string{"dataPlane.ztunnel"}},
		"an empty ztunnel says nothing":       {"dataPlane: {ztunnel: {}}", true, nil},
		"a plugin":                            {"dataPlane: {trafficRedirectionSetupMode: CNIPlugin}", true, []string{"dataPlane.trafficRedirectionSetupMode"}},
		"a format of text without a type":     {"dataPlane: {accessLog: {textFormat: x}}", true, nil},
		"labels without a type":               {"dataPlane: {accessLog: {jsonLabels: {a: b}}}", true, []string{"dataPlane.accessLog.jsonLabels"}},
		"a format of the other type":          {"dataPlane: {accessLog: {type: JSON, textFormat: x, jsonLabels: {a: b}}}", true, []string{"dataPlane.accessLog.textFormat"}},
		"people, where Dex knows them":        {"auth: {allowedUserEmails: [a], allowedUserGroups: [b], whitelistSourceRanges: [c], satisfyAny: true}", true, nil},
		"people, where something else does":   {"auth: {externalAuthentication: {authURL: x}, allowedUserEmails: [a], allowedUserGroups: [b], whitelistSourceRanges: [c], satisfyAny: true}", true, []string{"auth.allowedUserEmails", "auth.allowedUserGroups"}},
		"people, where nothing does":          {"auth: {allowedUserGroups: [b], whitelistSourceRanges: [c], satisfyAny: true}", false, []string{"auth.allowedUserGroups", "auth.whitelistSourceRanges", "auth.satisfyAny"}},
		"any of one":                          {"auth: {satisfyAny: true}", true, []string{"auth.satisfyAny"}},
		"a user interface that Kiali ignores": {"tracing: {kiali: {jaegerURLForUsers: x}}", true, []string{"tracing.kiali.jaegerURLForUsers"}},
		"one that it links to":                {"tracing: {kiali: {jaegerURLForUsers: x, jaegerGRPCEndpoint: y}}", true, nil},
		"what is no group":                    {"{dataPlane: x, auth: [y]}", true, nil},
	} {
		settings := map[string]any{}
		if err := yaml.Unmarshal([]byte(test.settings), &settings); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, found := range WithoutEffect(settings, test.dex) {
			got = append(got, found.Setting)
			if !strings.HasPrefix(found.String(), found.Setting+" is without effect: ") || found.Reason == "" {
				t.Errorf("%s: %s", name, found)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
