package drift

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// byHelm is an object as Helm writes it, with what others wrote besides.
func byHelm(key string, others ...Writer) Object {
	return by("helm-client", key, others...)
}

func by(manager, key string, others ...Writer) Object {
	kind, name, _ := strings.Cut(key, "/")
	return Object{Kind: kind, Name: name, Writers: append([]Writer{{Manager: manager, Label: true, Content: true}}, others...)}
}

func content(manager, time string) Writer {
	return Writer{Manager: manager, Content: true, Time: time}
}

func TestFind(t *testing.T) {
	const a, b, c = "Service/a", "ConfigMap/b", "ConfigMap/c"
	all := []string{a, b, c}
	for name, test := range map[string]struct {
		wanted, rendered []string
		present          []Object
		want             string // object, and its editor
	}{
		"nothing is wrong with what Helm wrote": {
			all, all, []Object{byHelm(a), byHelm(b), byHelm(c)}, ""},
		"a missing object": {
			all, all, []Object{byHelm(a), byHelm(c)}, "ConfigMap/b missing"},
		"a namesake of another kind does not replace it": {
			all, all, []Object{byHelm(a), byHelm(b), byHelm("Secret/c")}, "ConfigMap/c missing"},
		"an object that Helm has not applied yet is not missing": {
			all, []string{a, b}, []Object{byHelm(a), byHelm(b)}, ""},
		"nothing is missing before the first installation": {
			all, nil, nil, ""},
		"what is not wanted any more may go": {
			[]string{a, b}, all, []Object{byHelm(a), byHelm(b)}, ""},
		"what is not wanted may be edited": {
			[]string{a, b}, all, []Object{byHelm(a), byHelm(b), byHelm(c, content("kubectl-edit", "1"))}, ""},
		"an edited object": {
			all, all, []Object{byHelm(a), byHelm(b, content("kubectl-edit", "1")), byHelm(c)}, "ConfigMap/b by kubectl-edit"},
		"each of several editors of an object, once": {
			all, all, []Object{byHelm(a), byHelm(b, content("y", "2"), content("x", "1"), content("x", "3")), byHelm(c)}, "ConfigMap/b by x, ConfigMap/b by y"},
		"labels and annotations are free": {
			all, all, []Object{byHelm(a, Writer{Manager: "kubectl-label", Time: "1"}), byHelm(b), byHelm(c)}, ""},
		"istiod may write": {
			all, all, []Object{byHelm(a, content("pilot-discovery", "1")), byHelm(b), byHelm(c)}, ""},
		"the hook that withdraws trust may write": {
			all, all, []Object{byHelm(a), byHelm(b, content("istio-trust-withdrawal", "1")), byHelm(c)}, ""},
		"an object that was replaced, with its labels": {
			all, all, []Object{byHelm(a), by("kubectl-replace", b), byHelm(c)}, "ConfigMap/b by kubectl-replace"},
		"an object that another manager took over from Helm": {
			all, all, []Object{byHelm(a), byHelm(b, Writer{Manager: "kubectl", Label: true, Content: true}), byHelm(c)}, "ConfigMap/b by kubectl"},
		"Helm under its former name is Helm": {
			append(all, "ConfigMap/d"), nil, []Object{byHelm(a), byHelm(b), by("nelm", c), by("nelm", "ConfigMap/d")}, ""},
		"nothing, where no managers are recorded": {
			all, all, []Object{byHelm(a), byHelm(b), {Kind: "ConfigMap", Name: "c"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, deviation := range Find(test.wanted, test.rendered, test.present) {
				if deviation.Absent() {
					got = append(got, deviation.Object+" missing")
				} else {
					got = append(got, deviation.Object+" by "+deviation.By)
				}
			}
			if got := strings.Join(got, ", "); got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	edit := func(manager, time string) []Deviation {
		return Find([]string{"ConfigMap/b"}, nil, []Object{byHelm("ConfigMap/a"), byHelm("ConfigMap/b", content(manager, time))})
	}
	missing := []Deviation{{Object: "ConfigMap/c"}}
	attempted := Next("", edit("kubectl-edit", "1"), noon)
	for name, test := range map[string]struct {
		former string
		found  []Deviation
		asks   bool
	}{
		"nothing is wrong":           {"", nil, false},
		"nothing is wrong any more":  {attempted, nil, false},
		"an object is missing":       {"", missing, true},
		"an object is missing again": {Next("", missing, noon), missing, true},
		"an edit":                    {"", edit("kubectl-edit", "1"), true},
		"the same edit again":        {attempted, edit("kubectl-edit", "1"), false},
		"a later edit":               {attempted, edit("kubectl-edit", "2"), true},
		"an edit by another":         {attempted, edit("helm-diff", "1"), true},
		"an object is missing while the same edit exists": {attempted, append(edit("kubectl-edit", "1"), missing...), true},
	} {
		t.Run(name, func(t *testing.T) {
			later := noon.Add(time.Second)
			got := Next(test.former, test.found, later)
			if asks := got != test.former; asks != test.asks {
				t.Fatalf("%q follows %q, asks Helm: %v, want %v", got, test.former, asks, test.asks)
			}
			if again := Next(got, onlyEdits(test.found), later.Add(time.Second)); again != got {
				t.Errorf("%q follows %q when nothing is missing and no edit is new", again, got)
			}
		})
	}
}

func TestUnwritable(t *testing.T) {
	const a, b = "ConfigMap/a", "ConfigMap/b"
	unwritable := byHelm(b)
	unwritable.Unwritable = "it is immutable"
	for name, test := range map[string]struct {
		wanted, rendered []string
		present          []Object
		want             []Object
	}{
		"what can be written stays":              {[]string{a, b}, []string{a, b}, []Object{byHelm(a), byHelm(b)}, nil},
		"what cannot has to go":                  {[]string{a, b}, []string{a, b}, []Object{byHelm(a), unwritable}, []Object{unwritable}},
		"what is not wanted any more is Helm's":  {[]string{a}, []string{a, b}, []Object{byHelm(a), unwritable}, nil},
		"an object that Helm has not made":       {[]string{a, b}, []string{a}, []Object{byHelm(a), unwritable}, nil},
		"nothing is deleted before installation": {[]string{a, b}, nil, []Object{unwritable}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Unwritable(test.wanted, test.rendered, test.present); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func onlyEdits(found []Deviation) []Deviation {
	var edits []Deviation
	for _, deviation := range found {
		if !deviation.Absent() {
			edits = append(edits, deviation)
		}
	}
	return edits
}

func TestObjectsOfARelease(t *testing.T) {
	for name, test := range map[string]struct {
		release Release
		want    []string
	}{
		"nothing before a version is chosen": {Release{}, nil},
		"no webhook before istiod was ready": {Release{Revisions: []string{"v1x31"}}, []string{
			"Secret/cacerts", "Deployment/istiod-v1x31", "Service/istiod-v1x31", "ConfigMap/istio-v1x31", "ConfigMap/istio-sidecar-injector-v1x31"}},
		"no webhook to what is not installed":                          {Release{WebhookRevisions: []string{"v1x29"}, DefaultRevision: "v1x29"}, nil},
		"what is written of peers where clusters are federated":        {Release{Federation: true}, []string{"ConfigMap/federation-revisions"}},
		"what is written of peers where clusters are of the same mesh": {Release{Multicluster: true}, []string{"ConfigMap/multicluster-revisions"}},
		"all": {Release{[]string{"v1x31"}, []string{"v1x31"}, "v1x31", true, true, true}, []string{
			"Secret/cacerts", "Deployment/istiod-v1x31", "Service/istiod-v1x31", "ConfigMap/istio-v1x31", "ConfigMap/istio-sidecar-injector-v1x31",
			"MutatingWebhookConfiguration/istio-sidecar-injector-v1x31-d8-istio", "ValidatingWebhookConfiguration/istio-validator-v1x31-d8-istio",
			"MutatingWebhookConfiguration/istio-revision-tag-default", "ValidatingWebhookConfiguration/istiod-default-validator",
			"ConfigMap/federation-revisions", "ConfigMap/multicluster-revisions", "ConfigMap/alliance-healthcheck", "ConfigMap/alliance-healthcheck-reports"}},
		"nobody is called without peers": {Release{Healthcheck: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.release.Objects(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
