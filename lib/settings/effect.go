package settings

import (
	"fmt"
	"strings"
)

// Ineffective is a setting that is accepted and changes nothing.
type Ineffective struct {
	// Setting as a path, dataPlane.ztunnel.
	Setting string
	// Reason says why, and what to do if there is something.
	Reason string
}

// String is one sentence for a person.
func (i Ineffective) String() string {
	return fmt.Sprintf("%s is without effect: %s", i.Setting, i.Reason)
}

// conditionalEffect is a setting that changes something in some settings only.
type conditionalEffect struct {
	path []string
	// when is true for values and settings with which it changes nothing.
	when   func(value any, settings map[string]any, dex bool) bool
	reason string
}

// ineffective are settings of Deckhouse's own module, accepted so that a ModuleConfig need not be
// rewritten, and those that need another one. test/support/rendertest compares the list with what is rendered.
var ineffective = []conditionalEffect{
	{[]string{"dataPlane", "ztunnel"}, always, "there is no ambient mode, every Pod of the mesh has a sidecar"},
	{[]string{"dataPlane", "trafficRedirectionSetupMode"}, is("CNIPlugin"),
		"CNIPlugin is not installed, an init container of each Pod redirects its traffic, so the Pods' namespaces must allow NET_ADMIN and NET_RAW"},
	{[]string{"dataPlane", "accessLog", "textFormat"}, whereType("JSON"), "it needs dataPlane.accessLog.type Text"},
	{[]string{"dataPlane", "accessLog", "jsonLabels"}, whereType("Text"), "it needs dataPlane.accessLog.type JSON"},
	{[]string{"auth", "allowedUserEmails"}, withoutDex, onlyDex},
	{[]string{"auth", "allowedUserGroups"}, withoutDex, onlyDex},
	{[]string{"auth", "whitelistSourceRanges"}, withoutIngress, noIngress},
	{[]string{"auth", "satisfyAny"}, withoutIngress, noIngress},
	{[]string{"auth", "satisfyAny"}, func(value any, settings map[string]any, dex bool) bool {
		return !withoutIngress(value, settings, dex) && isEmpty(at(settings, "auth", "whitelistSourceRanges"))
	}, "it needs auth.whitelistSourceRanges"},
	{[]string{"tracing", "kiali", "jaegerURLForUsers"}, func(_ any, settings map[string]any, _ bool) bool {
		return isEmpty(at(settings, "tracing", "kiali", "jaegerGRPCEndpoint"))
	}, "it needs tracing.kiali.jaegerGRPCEndpoint, where Kiali itself finds traces"},
}

const (
	onlyDex   = "people are authenticated by what auth.externalAuthentication names, or not at all, and not by Deckhouse's module user-authn: let that decide who may open the pages"
	noIngress = "the pages have no Ingress without auth.externalAuthentication or Deckhouse's module user-authn"
)

// WithoutEffect lists what is set in settings (a decoded YAML or JSON object, with
// or without defaults) and changes nothing. dex is true where Deckhouse's module user-authn may
// authenticate people.
func WithoutEffect(settings map[string]any, dex bool) []Ineffective {
	var found []Ineffective
	for _, candidate := range ineffective {
		value := at(settings, candidate.path...)
		if isEmpty(value) || !candidate.when(value, settings, dex) {
			continue
		}
		found = append(found, Ineffective{strings.Join(candidate.path, "."), candidate.reason})
	}
	return found
}

func always(any, map[string]any, bool) bool { return true }

func is(wanted any) func(any, map[string]any, bool) bool {
	return func(value any, _ map[string]any, _ bool) bool { return value == wanted }
}

// whereType is true for an access log of this type, or of none where that is the default.
func whereType(wanted string) func(any, map[string]any, bool) bool {
	return func(_ any, settings map[string]any, _ bool) bool {
		written := at(settings, "dataPlane", "accessLog", "type")
		return written == wanted || written == nil && wanted == "Text"
	}
}

func withoutDex(_ any, settings map[string]any, dex bool) bool {
	return !dex || !isEmpty(at(settings, "auth", "externalAuthentication", "authURL"))
}

func withoutIngress(_ any, settings map[string]any, dex bool) bool {
	return !dex && isEmpty(at(settings, "auth", "externalAuthentication", "authURL"))
}

// at is the value at a path, nil for none.
func at(settings map[string]any, path ...string) any {
	var value any = settings
	for _, key := range path {
		group, isGroup := value.(map[string]any)
		if !isGroup {
			return nil
		}
		value = group[key]
	}
	return value
}

// isEmpty is true for what says nothing: no value, false, and empty texts, lists and groups.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}
