package versionplan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

func label(value string) *string { return &value }

func namespace(name, revision string) injection.Namespace {
	found := injection.Namespace{Name: name}
	if revision != "" {
		found.Revision = label(revision)
	}
	return found
}

func pod(namespace, name, sidecar string) Pod {
	return Pod{Pod: injection.Pod{Namespace: namespace, Name: name}, Sidecar: injection.Sidecar{Revision: sidecar}}
}

func TestObserve(t *testing.T) {
	everyday := []Pod{pod("kube-system", "coredns", "")}
	for name, test := range map[string]struct {
		namespaces []injection.Namespace
		pods       []Pod
		webhook    string
		want       map[string]Use
	}{
		"nobody uses anything": {[]injection.Namespace{namespace("shop", "")}, everyday, "", map[string]Use{}},
		"a namespace by its label": {[]injection.Namespace{namespace("shop", "v1x30")}, everyday, "",
			map[string]Use{"v1x30": {People: []User{{Namespace: "shop"}}}}},
		"a namespace that is being deleted does not count": {
			[]injection.Namespace{{Name: "shop", Revision: label("v1x30"), Terminating: true}}, everyday, "", map[string]Use{}},
		"a namespace with the default revision names none": {
			[]injection.Namespace{{Name: "shop", Injection: label("enabled")}, namespace("web", "default")}, everyday, "", map[string]Use{}},
		"the webhooks of the default revision": {[]injection.Namespace{namespace("shop", "")}, everyday, "v1x30",
			map[string]Use{"v1x30": {Module: true}}},
		"a Pod by the sidecar it runs, whatever the labels want now": {
			[]injection.Namespace{namespace("shop", "v1x31")}, []Pod{pod("shop", "web", "v1x30")}, "",
			map[string]Use{"v1x30": {People: []User{{"shop", "web"}}}, "v1x31": {People: []User{{Namespace: "shop"}}}}},
		"a Pod by its label in a namespace without labels": {
			[]injection.Namespace{namespace("shop", "")}, []Pod{{Pod: injection.Pod{Namespace: "shop", Name: "web", Revision: label("v1x30")}}}, "",
			map[string]Use{"v1x30": {People: []User{{"shop", "web"}}}}},
		"a Pod's label does not count where the namespace decides": {
			[]injection.Namespace{namespace("shop", "v1x31")}, []Pod{{Pod: injection.Pod{Namespace: "shop", Name: "web", Revision: label("v1x30")}}}, "",
			map[string]Use{"v1x31": {People: []User{{Namespace: "shop"}}}}},
		"a Pod is named once for sidecar and label": {
			[]injection.Namespace{namespace("shop", "")},
			[]Pod{{Pod: injection.Pod{Namespace: "shop", Name: "web", Revision: label("v1x30")}, Sidecar: injection.Sidecar{Revision: "v1x30"}}}, "",
			map[string]Use{"v1x30": {People: []User{{"shop", "web"}}}}},
		"a finished Pod runs nothing": {
			[]injection.Namespace{namespace("shop", "")},
			[]Pod{{Pod: injection.Pod{Namespace: "shop", Name: "job"}, Sidecar: injection.Sidecar{Revision: "v1x30"}, Finished: true}}, "", map[string]Use{}},
		"the module's gateway": {
			[]injection.Namespace{namespace("d8-istio", "")},
			[]Pod{{Pod: injection.Pod{Namespace: "d8-istio", Name: "ingressgateway", Revision: label("v1x30")}, Own: true}}, "",
			map[string]Use{"v1x30": {Module: true}}},
		"istiod does not use its own revision": {
			[]injection.Namespace{namespace("d8-istio", "")},
			[]Pod{{Pod: injection.Pod{Namespace: "d8-istio", Name: "istiod-v1x30", Revision: label("v1x30")}, Own: true, Istiod: true}}, "", map[string]Use{}},
	} {
		t.Run(name, func(t *testing.T) {
			usage := Observe(test.namespaces, test.pods, test.webhook)
			if !usage.Known {
				t.Error("usage is known")
			}
			if !reflect.DeepEqual(usage.Uses, test.want) {
				t.Errorf("got %+v, want %+v", usage.Uses, test.want)
			}
		})
	}
}

func TestASidecarOfUnknownRevisionMakesTheUsageUnknown(t *testing.T) {
	namespaces, pods := []injection.Namespace{namespace("shop", "")}, []Pod{pod("shop", "web", injection.Unknown)}
	usage := Observe(namespaces, pods, "")
	if want := []User{{"shop", "web"}}; usage.Known || !reflect.DeepEqual(usage.Unclear, want) {
		t.Errorf("known: %v, unclear: %v", usage.Known, usage.Unclear)
	}
	plan := Decide(Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x30"}, Usage: usage})
	if len(plan.Unclear) != 1 || plan.Unclear[0].Version.Version != "1.30" || !reflect.DeepEqual(plan.Unclear[0].Users, usage.Unclear) {
		t.Errorf("got %+v", plan.Unclear)
	}
	pods[0].Finished = true
	if usage := Observe(namespaces, pods, ""); !usage.Known {
		t.Error("a Pod that has finished uses nothing")
	}
}

func TestRevisionsOfAnEarlierReleaseAreStrandedWhileTheSettingsAreRejected(t *testing.T) {
	present := Present{Revisions: []string{"v1x28", "1-19-0", "v1x30", "v1x28"}}
	for name, test := range map[string]struct {
		settings Settings
		want     []string
	}{
		"a global version that is gone":       {Settings{GlobalVersion: "1.28"}, []string{"v1x28"}},
		"an additional version that is gone":  {Settings{AdditionalVersions: []string{"1.28"}}, []string{"v1x28"}},
		"a person has chosen what there is":   {Settings{GlobalVersion: "1.30"}, nil},
		"the default, which there always is":  {Settings{}, nil},
		"another version that was never here": {Settings{GlobalVersion: "2.0"}, []string{"v1x28"}},
	} {
		if got := Decide(test.settings, present).Stranded; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := Decide(Settings{GlobalVersion: "2.0"}, Present{Revisions: []string{"v1x30"}}).Stranded; got != nil {
		t.Errorf("%q can be installed", got)
	}
}

func TestUsageOfAnEmptySnapshotIsUnknown(t *testing.T) {
	some := []injection.Namespace{namespace("shop", "")}
	for name, usage := range map[string]Usage{
		"no namespaces": Observe(nil, []Pod{pod("shop", "web", "")}, ""),
		"no Pods":       Observe(some, nil, ""),
	} {
		if usage.Known {
			t.Errorf("%s: usage is not known", name)
		}
	}
}

func TestDecide(t *testing.T) {
	if newest := istioversion.Names(); !reflect.DeepEqual(newest, []string{"1.31", "1.30", "1.29"}) {
		t.Fatalf("the cases below are written for 1.31, 1.30 and 1.29, not for %v", newest)
	}
	usage := func(uses map[string]Use) Usage { return Usage{Known: true, Uses: uses} }
	byPeople := Use{People: []User{{Namespace: "shop"}}}
	for name, test := range map[string]struct {
		settings    Settings
		present     Present
		install     string
		global      string
		rejected    string
		retained    string
		unavailable string
	}{
		"the default, when the settings name none": {Settings{}, Present{Usage: usage(nil)}, "v1x31", "v1x31", "", "", ""},
		"global and additional versions, newest first": {
			Settings{GlobalVersion: "1.30", AdditionalVersions: []string{"1.29", "1.31"}}, Present{Usage: usage(nil)}, "v1x31 v1x30 v1x29", "v1x30", "", "", ""},
		"a version named twice is one": {
			Settings{GlobalVersion: "1.30", AdditionalVersions: []string{"1.30", "1.30"}}, Present{Usage: usage(nil)}, "v1x30", "v1x30", "", "", ""},
		"a version out of the settings goes when nobody uses it": {
			Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x31", "v1x30"}, GlobalRevision: "v1x30", Usage: usage(nil)}, "v1x31", "v1x31", "", "", ""},
		"a version out of the settings stays while it is used": {
			Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x31", "v1x30"}, Usage: usage(map[string]Use{"v1x30": byPeople})}, "v1x31 v1x30", "v1x31", "", "v1x30", ""},
		"a version that only the module still uses stays without a word": {
			Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x30"}, Usage: usage(map[string]Use{"v1x30": {Module: true}})}, "v1x31 v1x30", "v1x31", "", "", ""},
		"nothing goes when the usage is unknown": {
			Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x31", "v1x30"}}, "v1x31 v1x30", "v1x31", "", "", ""},
		"nothing is installed for want of knowledge": {
			Settings{GlobalVersion: "1.31"}, Present{}, "v1x31", "v1x31", "", "", ""},
		"a label alone installs nothing": {
			Settings{GlobalVersion: "1.31"}, Present{Usage: usage(map[string]Use{"v1x30": byPeople})}, "v1x31", "v1x31", "", "", ""},
		"a sidecar alone installs nothing": {
			Settings{GlobalVersion: "1.31"}, Present{Usage: usage(map[string]Use{"v1x30": {People: []User{{"shop", "web"}}}})}, "v1x31", "v1x31", "", "", ""},
		"nothing goes while a sidecar may be of any revision": {
			Settings{GlobalVersion: "1.31"}, Present{Revisions: []string{"v1x30"}, Usage: Usage{Unclear: []User{{"shop", "web"}}}}, "v1x31 v1x30", "v1x31", "", "", ""},
		"an unknown global version keeps what is installed": {
			Settings{GlobalVersion: "1.28"}, Present{Revisions: []string{"v1x30", "v1x29"}, GlobalRevision: "v1x30", Usage: usage(nil)}, "v1x30 v1x29", "v1x30",
			"globalVersion: there is no Istio 1.28", "", ""},
		"an unknown global version in an empty cluster installs nothing": {
			Settings{GlobalVersion: "1.28"}, Present{Usage: usage(nil)}, "", "", "globalVersion: there is no Istio 1.28", "", ""},
		"an unknown global version does not bring back one that is no more": {
			Settings{GlobalVersion: "1.19"}, Present{GlobalRevision: "v1x19", Usage: usage(nil)}, "", "", "globalVersion: there is no Istio 1.19", "", ""},
		"an unknown additional version removes nothing and hinders no other": {
			Settings{GlobalVersion: "1.31", AdditionalVersions: []string{"2.0", "1.29"}}, Present{Revisions: []string{"v1x30"}, Usage: usage(nil)}, "v1x31 v1x30 v1x29", "v1x31",
			"additionalVersions[0]: there is no Istio 2.0", "", ""},
		"a used revision of an older release of the module cannot be installed": {
			Settings{}, Present{Revisions: []string{"v1x19"}, Usage: usage(map[string]Use{"v1x19": byPeople})}, "v1x31", "v1x31", "", "", "v1x19"},
		"a revision of somebody else's Istio is none of the module's": {
			Settings{}, Present{Usage: usage(map[string]Use{"1-28-0": byPeople, "default": byPeople})}, "v1x31", "v1x31", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := Decide(test.settings, test.present)
			var install, retained, unavailable []string
			for _, version := range plan.Versions {
				install = append(install, version.Revision())
			}
			for _, each := range plan.Retained {
				retained = append(retained, each.Version.Revision())
			}
			for _, each := range plan.Unavailable {
				unavailable = append(unavailable, each.Revision)
			}
			for what, pair := range map[string][2]string{
				"install":     {strings.Join(install, " "), test.install},
				"global":      {plan.GlobalRevision, test.global},
				"retained":    {strings.Join(retained, " "), test.retained},
				"unavailable": {strings.Join(unavailable, " "), test.unavailable},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
				}
			}
			if (plan.Rejected == nil) != (test.rejected == "") || plan.Rejected != nil && !strings.Contains(plan.Rejected.Error(), test.rejected) {
				t.Errorf("rejected %v, want %q", plan.Rejected, test.rejected)
			}
		})
	}
}

func TestNameListsNamespacesAndIsBounded(t *testing.T) {
	users := []User{{Namespace: "shop"}, {"shop", "web-0"}, {"shop", "web-1"}}
	if got := Name(users); got != "Pods in namespace shop, namespace shop" {
		t.Error(got)
	}
	users = nil
	for number := range 25 {
		users = append(users, User{Namespace: fmt.Sprintf("shop-%02d", number)})
	}
	if got := Name(users); !strings.HasSuffix(got, "namespace shop-09 and 15 more") {
		t.Error(got)
	}
}
