package controlplane

import (
	"reflect"
	"testing"
)

func TestJudge(t *testing.T) {
	up := func(revision string) Istiod { return Istiod{revision, true} }
	down := func(revision string) Istiod { return Istiod{revision, false} }
	both := []string{"v1x29", "v1x27"}
	for name, test := range map[string]struct {
		installed []string
		global    string
		pods      []Istiod
		before    Webhooks
		want      Webhooks
	}{
		"no webhook before an istiod was ready": {
			both, "v1x29", []Istiod{down("v1x29")}, Webhooks{}, Webhooks{[]string{}, ""}},
		"the first ready istiod gets its webhooks and the default": {
			both, "v1x29", []Istiod{up("v1x29")}, Webhooks{}, Webhooks{[]string{"v1x29"}, "v1x29"}},
		"an additional version does not become the default": {
			both, "v1x29", []Istiod{up("v1x27")}, Webhooks{}, Webhooks{[]string{"v1x27"}, ""}},
		"the default stays until the new global revision is ready": {
			both, "v1x29", []Istiod{up("v1x27"), down("v1x29")}, Webhooks{[]string{"v1x27"}, "v1x27"}, Webhooks{[]string{"v1x27"}, "v1x27"}},
		"the default moves when the new global revision is ready": {
			both, "v1x29", []Istiod{up("v1x27"), up("v1x29")}, Webhooks{[]string{"v1x27"}, "v1x27"}, Webhooks{both, "v1x29"}},
		"the default does not move to a revision that was ready once and is not now": {
			both, "v1x27", []Istiod{up("v1x29"), down("v1x27")}, Webhooks{both, "v1x29"}, Webhooks{both, "v1x29"}},
		"one ready Pod of several is enough": {
			both, "v1x29", []Istiod{down("v1x29"), up("v1x29")}, Webhooks{}, Webhooks{[]string{"v1x29"}, "v1x29"}},
		"webhooks stay when istiod goes": {
			both, "v1x29", nil, Webhooks{both, "v1x29"}, Webhooks{both, "v1x29"}},
		"a default found in the cluster has webhooks of its own, too": {
			both, "v1x29", nil, Webhooks{nil, "v1x29"}, Webhooks{[]string{"v1x29"}, "v1x29"}},
		"nothing points to a revision that is no longer installed": {
			[]string{"v1x29"}, "v1x29", []Istiod{up("v1x25"), down("v1x29")}, Webhooks{[]string{"v1x25"}, "v1x25"}, Webhooks{[]string{}, ""}},
		"settings that cannot be followed leave the default where it is": {
			both, "", []Istiod{up("v1x27")}, Webhooks{[]string{"v1x27"}, "v1x27"}, Webhooks{[]string{"v1x27"}, "v1x27"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(test.installed, test.global, test.pods, test.before); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReadySpeaksOfEveryInstalledRevision(t *testing.T) {
	got := Ready([]string{"v1x29", "v1x27"}, []Istiod{{"v1x29", true}, {"v1x25", true}})
	if want := map[string]bool{"v1x29": true, "v1x27": false}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
