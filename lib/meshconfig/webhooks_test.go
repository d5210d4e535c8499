package meshconfig

import (
	"reflect"
	"testing"
)

func TestWebhooksPointToRevisionsThatWereReady(t *testing.T) {
	up := func(revision string) Istiod { return Istiod{revision, true} }
	down := func(revision string) Istiod { return Istiod{revision, false} }
	both := []string{"v1x31", "v1x30"}
	for name, test := range map[string]struct {
		installed []string
		global    string
		pods      []Istiod
		before    Webhooks
		want      Webhooks
	}{
		"no webhook before an istiod was ready": {
			both, "v1x31", []Istiod{down("v1x31")}, Webhooks{}, Webhooks{[]string{}, ""}},
		"the first ready istiod gets its webhooks and the default": {
			both, "v1x31", []Istiod{up("v1x31")}, Webhooks{}, Webhooks{[]string{"v1x31"}, "v1x31"}},
		"an additional version does not become the default": {
			both, "v1x31", []Istiod{up("v1x30")}, Webhooks{}, Webhooks{[]string{"v1x30"}, ""}},
		"the default stays until the new global revision is ready": {
			both, "v1x31", []Istiod{up("v1x30"), down("v1x31")}, Webhooks{[]string{"v1x30"}, "v1x30"}, Webhooks{[]string{"v1x30"}, "v1x30"}},
		"the default moves when the new global revision is ready": {
			both, "v1x31", []Istiod{up("v1x30"), up("v1x31")}, Webhooks{[]string{"v1x30"}, "v1x30"}, Webhooks{both, "v1x31"}},
		"the default does not move to a revision that was ready once and is not now": {
			both, "v1x30", []Istiod{up("v1x31"), down("v1x30")}, Webhooks{both, "v1x31"}, Webhooks{both, "v1x31"}},
		"one ready Pod of several is enough": {
			both, "v1x31", []Istiod{down("v1x31"), up("v1x31")}, Webhooks{}, Webhooks{[]string{"v1x31"}, "v1x31"}},
		"webhooks stay when istiod goes": {
			both, "v1x31", nil, Webhooks{both, "v1x31"}, Webhooks{both, "v1x31"}},
		"a default found in the cluster has webhooks of its own, too": {
			both, "v1x31", nil, Webhooks{nil, "v1x31"}, Webhooks{[]string{"v1x31"}, "v1x31"}},
		"nothing points to a revision that is no longer installed": {
			[]string{"v1x31"}, "v1x31", []Istiod{up("v1x29"), down("v1x31")}, Webhooks{[]string{"v1x29"}, "v1x29"}, Webhooks{[]string{}, ""}},
		"settings that cannot be followed leave the default where it is": {
			both, "", []Istiod{up("v1x30")}, Webhooks{[]string{"v1x30"}, "v1x30"}, Webhooks{[]string{"v1x30"}, "v1x30"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := WebhookTargets(test.installed, test.global, test.pods, test.before); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReadyHasEveryInstalledRevision(t *testing.T) {
	got := Ready([]string{"v1x31", "v1x30"}, []Istiod{{"v1x31", true}, {"v1x29", true}})
	if want := map[string]bool{"v1x31": true, "v1x30": false}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
