package dataplane

import (
	"reflect"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/injection"
)

func label(value string) *string { return &value }

var installed = Installed{
	FullVersions:    map[string]string{"v1x31": "1.31.3", "v1x30": "1.30.7"},
	DefaultRevision: "v1x31",
}

func TestState(t *testing.T) {
	enabled := injection.Namespace{Name: "shop", Injection: label("enabled")}
	plain := injection.Namespace{Name: "shop"}
	revision := func(name string) injection.Namespace {
		return injection.Namespace{Name: "shop", Revision: label(name)}
	}
	sidecar := func(revision, version string) injection.Sidecar {
		return injection.Sidecar{Revision: revision, AnnotatedVersion: version}
	}
	for name, test := range map[string]struct {
		namespace injection.Namespace
		sidecar   injection.Sidecar
		want      State
	}{
		"all is well": {enabled, sidecar("v1x31", "1.31.3"),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "v1x31", FullVersion: "1.31.3"}},
		"the sidecar is missing": {enabled, injection.Sidecar{},
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: None, FullVersion: None, Problem: SidecarMissing}},
		"the namespace has moved to another revision": {revision("v1x30"), sidecar("v1x31", "1.31.3"),
			State{DesiredRevision: "v1x30", DesiredFullVersion: "1.30.7", Revision: "v1x31", FullVersion: "1.31.3", Problem: OtherRevision}},
		"the default revision has moved on": {enabled, sidecar("v1x30", "1.30.7"),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "v1x30", FullVersion: "1.30.7", Problem: OtherRevision}},
		"the namespace has left the mesh": {plain, sidecar("v1x31", "1.31.3"),
			State{DesiredRevision: None, DesiredFullVersion: None, Revision: "v1x31", FullVersion: "1.31.3", Problem: OtherRevision}},
		"the sidecar is a patch behind": {enabled, sidecar("v1x31", "1.31.2"),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "v1x31", FullVersion: "1.31.2", Problem: OlderVersion}},
		"patches are compared as numbers": {enabled, sidecar("v1x31", "1.31.12"),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "v1x31", FullVersion: "1.31.12"}},
		"nothing tells the sidecar's version": {enabled, sidecar("v1x31", ""),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "v1x31", FullVersion: injection.Unknown}},
		"the revision does not exist": {revision("v1x99"), injection.Sidecar{},
			State{DesiredRevision: "v1x99", DesiredFullVersion: injection.Unknown, Revision: None, FullVersion: None, Problem: RevisionNotInstalled}},
		"the labels choose somebody else's Istio": {revision("1-28-0"), sidecar("v1x30", "1.30.7"),
			State{DesiredRevision: "1-28-0", DesiredFullVersion: injection.Unknown, Revision: "v1x30", FullVersion: "1.30.7", Problem: OtherRevision}},
		"the sidecar is somebody else's": {enabled, sidecar("1-28-0", ""),
			State{DesiredRevision: "v1x31", DesiredFullVersion: "1.31.3", Revision: "1-28-0", FullVersion: injection.Unknown, Problem: OtherRevision}},
		"the revision of a running sidecar is gone": {revision("v1x29"), sidecar("v1x29", "1.29.9"),
			State{DesiredRevision: "v1x29", DesiredFullVersion: injection.Unknown, Revision: "v1x29", FullVersion: "1.29.9", Problem: RevisionNotInstalled}},
	} {
		t.Run(name, func(t *testing.T) {
			got := States([]injection.Namespace{test.namespace}, []Pod{{Pod: injection.Pod{Namespace: "shop", Name: "web"}, Sidecar: test.sidecar}}, installed)
			test.want.Namespace, test.want.Pod = "shop", "web"
			if !reflect.DeepEqual(got, []State{test.want}) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestPodsOfNoConcernHaveNoState(t *testing.T) {
	namespaces := []injection.Namespace{{Name: "shop", Injection: label("enabled")}, {Name: "plain"}, {Name: "foreign", Revision: label("1-28-0")}}
	for name, pod := range map[string]Pod{
		"neither has nor needs a sidecar":       {Pod: injection.Pod{Namespace: "plain", Name: "web"}},
		"rejects the sidecar":                   {Pod: injection.Pod{Namespace: "shop", Name: "web", Inject: label("false")}},
		"waits for somebody else's Istio":       {Pod: injection.Pod{Namespace: "foreign", Name: "web"}},
		"is in the mesh of another Istio":       {Pod: injection.Pod{Namespace: "foreign", Name: "web"}, Sidecar: injection.Sidecar{Revision: "1-28-0"}},
		"was in the mesh of another Istio":      {Pod: injection.Pod{Namespace: "plain", Name: "web"}, Sidecar: injection.Sidecar{Revision: "default"}},
		"has finished":                          {Pod: injection.Pod{Namespace: "shop", Name: "job"}, Finished: true},
		"is the module's own":                   {Pod: injection.Pod{Namespace: "shop", Name: "gateway"}, Own: true},
		"is newer than the list of namespaces":  {Pod: injection.Pod{Namespace: "new", Name: "web", Inject: label("true")}},
		"shares the node's network with others": {Pod: injection.Pod{Namespace: "shop", Name: "agent", HostNetwork: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := States(namespaces, []Pod{pod}, installed); got != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDefaultTagWithoutDefaultRevisionIsNotInstalled(t *testing.T) {
	got := States([]injection.Namespace{{Name: "shop", Revision: label("default")}}, []Pod{{Pod: injection.Pod{Namespace: "shop", Name: "web"}}}, Installed{})
	if len(got) != 1 || got[0].Problem != RevisionNotInstalled || got[0].DesiredRevision != injection.Default {
		t.Errorf("got %+v", got)
	}
}
