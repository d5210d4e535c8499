package dataplane

import (
	"reflect"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/injection"
)

func TestNamespaces(t *testing.T) {
	plain := injection.Namespace{Name: "shop"}
	pod := func(change func(*Pod)) []Pod {
		made := Pod{Pod: injection.Pod{Namespace: "shop", Name: "web"}}
		change(&made)
		return []Pod{made}
	}
	asks := func(p *Pod) { p.Inject = label("true") }
	for name, test := range map[string]struct {
		namespace injection.Namespace
		pods      []Pod
		found     bool
	}{
		"no label and no Pod":               {plain, nil, false},
		"a label announces Pods":            {injection.Namespace{Name: "shop", Injection: label("enabled")}, nil, true},
		"a revision announces Pods":         {injection.Namespace{Name: "shop", Revision: label("v1x30")}, nil, true},
		"injection is disabled":             {injection.Namespace{Name: "shop", Injection: label("disabled")}, pod(asks), false},
		"a Pod asks for a sidecar":          {plain, pod(asks), true},
		"a Pod names a revision":            {plain, pod(func(p *Pod) { p.Pod.Revision = label("v1x30") }), true},
		"a Pod rejects the sidecar":         {plain, pod(func(p *Pod) { p.Inject = label("false") }), false},
		"a sidecar of earlier labels runs":  {plain, pod(func(p *Pod) { p.Sidecar.Revision = "v1x31" }), true},
		"a revision of another Istio":       {injection.Namespace{Name: "shop", Revision: label("1-28-0")}, pod(func(*Pod) {}), false},
		"a Pod names another Istio's":       {plain, pod(func(p *Pod) { p.Pod.Revision = label("1-28-0") }), false},
		"a sidecar of another Istio runs":   {plain, pod(func(p *Pod) { p.Sidecar.Revision = "1-28-0" }), false},
		"a sidecar that ran":                {plain, pod(func(p *Pod) { p.Sidecar.Revision, p.Finished = "v1x31", true }), false},
		"the namespace is being deleted":    {injection.Namespace{Name: "shop", Injection: label("enabled"), Terminating: true}, pod(asks), false},
		"the module's own":                  {injection.Namespace{Name: "d8-istio", Injection: label("enabled")}, nil, false},
		"a Pod of a namespace nobody knows": {injection.Namespace{Name: "other"}, pod(asks), false},
	} {
		t.Run(name, func(t *testing.T) {
			want := []string{}
			if test.found {
				want = []string{"shop"}
			}
			if got := Namespaces([]injection.Namespace{test.namespace}, test.pods); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestNamespacesAreSortedAndNamedOnce(t *testing.T) {
	enabled := func(name string) injection.Namespace {
		return injection.Namespace{Name: name, Injection: label("enabled")}
	}
	got := Namespaces([]injection.Namespace{enabled("web"), enabled("shop")}, []Pod{{Pod: injection.Pod{Namespace: "web", Name: "a"}}, {Pod: injection.Pod{Namespace: "web", Name: "b"}}})
	if want := []string{"shop", "web"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
