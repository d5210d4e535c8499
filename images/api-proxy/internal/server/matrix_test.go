package server_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

var subresources = []string{
	"status", "scale", "log", "exec", "attach", "portforward", "proxy", "eviction", "binding", "ephemeralcontainers", "token", "finalize", "approval", "resize",
}

// scopes of a resource: its own where the table knows it, else both.
func scopes(groupVersion, name string) []bool {
	known := append(append(remotereader.Readable(), remotereader.Reviews()...), remotereader.Secrets, remotereader.ConfigMaps)
	for _, resource := range known {
		version, _ := schema.ParseGroupVersion(groupVersion)
		if resource.Is(version.Group, version.Version, name) {
			return []bool{resource.Namespaced}
		}
	}
	return []bool{true, false}
}

// everyResource is all that an API server could list: each kind of Kubernetes, with
// each subresource of any kind in its group, and those of CRDs.
func everyResource() []*metav1.APIResourceList {
	lists := map[string]*metav1.APIResourceList{}
	add := func(groupVersion, name string) {
		subresources := subresources
		if groupVersion != "v1" && groupVersion != "apps/v1" {
			subresources = subresources[:1]
		}
		list := lists[groupVersion]
		if list == nil {
			list = &metav1.APIResourceList{GroupVersion: groupVersion}
			lists[groupVersion] = list
		}
		for _, namespaced := range scopes(groupVersion, name) {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name, Namespaced: namespaced})
			for _, sub := range subresources {
				list.APIResources = append(list.APIResources, metav1.APIResource{Name: name + "/" + sub, Namespaced: namespaced})
			}
		}
	}
	for kind := range scheme.Scheme.AllKnownTypes() {
		if strings.HasPrefix(kind.Version, "__") || strings.HasSuffix(kind.Kind, "List") || strings.HasSuffix(kind.Kind, "Options") ||
			kind.Kind == "WatchEvent" || kind.Kind == "APIGroup" || kind.Kind == "APIVersions" {
			continue
		}
		plural, _ := meta.UnsafeGuessKindToResource(kind)
		add(kind.GroupVersion().String(), plural.Resource)
	}
	for groupVersion, names := range map[string][]string{
		"networking.istio.io/v1":             {"workloadentries", "gateways", "serviceentries", "sidecars", "workloadgroups"},
		"networking.istio.io/v1beta1":        {"workloadentries"},
		"security.istio.io/v1":               {"peerauthentications", "authorizationpolicies"},
		"gateway.networking.k8s.io/v1":       {"gateways", "httproutes", "gatewayclasses"},
		"gateway.networking.k8s.io/v1beta1":  {"gateways", "referencegrants"},
		"multicluster.x-k8s.io/v1alpha1":     {"serviceexports", "serviceimports"},
		"apiextensions.k8s.io/v1":            {"customresourcedefinitions"},
		"apiregistration.k8s.io/v1":          {"apiservices"},
		"deckhouse.io/v1alpha1":              {"istiomulticlusters", "istiofederations", "moduleconfigs"},
		"metrics.k8s.io/v1beta1":             {"pods", "nodes"},
		"subresources.kubevirt.io/v1":        {"virtualmachineinstances"},
		"authentication.k8s.io/v1alpha1":     {"selfsubjectreviews"},
		"secrets.hashicorp.com/v1beta1":      {"vaultauths", "secrets"},
		"aggregated.apiserver.example/v1":    {"pods", "secrets"},
		"discovery.k8s.io.evil.example/v1":   {"endpointslices"},
		"external-secrets.io/v1":             {"externalsecrets"},
		"policy.networking.k8s.io/v1alpha1":  {"adminnetworkpolicies"},
		"custom.metrics.k8s.io/v1beta2":      {"services"},
		"multicluster.x-k8s.io/v1beta1":      {"serviceexports"},
		"admissionregistration.k8s.io/v1alp": {},
	} {
		for _, name := range names {
			add(groupVersion, name)
		}
	}
	var all []*metav1.APIResourceList
	for _, list := range lists {
		all = append(all, list)
	}
	return all
}

// TestEveryResourceWithEveryVerb is the first promise: beyond the allow-list
// nothing reaches the API server. It asks for more than any one server has;
// test/guarded asks a real one, over the network.
func TestEveryResourceWithEveryVerb(t *testing.T) {
	p := start(t, setup{})
	credentials := p.request(t, http.MethodGet, "/", "").Header
	cases := remotereadertest.Matrix(everyResource(), "shop")
	if len(cases) < 10000 {
		t.Fatalf("only %d cases", len(cases))
	}
	counts := map[remotereadertest.Outcome]int{}
	for _, each := range cases {
		if each.Want == remotereadertest.Empty && strings.Contains(each.Path, "watch=") && counts[each.Want] > 4 {
			continue // each lasts the second that it asks for
		}
		r := httptest.NewRequestWithContext(t.Context(), each.Method, each.Path, strings.NewReader(each.Body))
		r.Header = credentials.Clone()
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		p.handler.ServeHTTP(answer, r)
		if err := each.Check(answer.Code, answer.Body.Bytes()); err != nil {
			t.Errorf("%s: %v", each.Name, err)
		}
		got := p.backend.take()
		if reached := len(got) > 0; reached != (each.Want == remotereadertest.Forwarded) {
			t.Errorf("%s: reached the API server: %v, want %s: %v", each.Name, reached, each.Want, got)
		}
		for _, request := range got {
			if path, _, _ := strings.Cut(request.target, "?"); request.method != each.Method || path != strings.SplitN(each.Path, "?", 2)[0] {
				t.Errorf("%s: arrived as %s %s", each.Name, request.method, request.target)
			}
			if strings.Contains(request.target+"/", "/secrets/") {
				t.Errorf("%s: %s reached the API server", each.Name, request.target)
			}
		}
		counts[each.Want]++
	}
	for _, outcome := range []remotereadertest.Outcome{remotereadertest.Forwarded, remotereadertest.Empty, remotereadertest.Rejected} {
		if counts[outcome] == 0 {
			t.Errorf("no case is %s", outcome)
		}
	}
	t.Logf("%d cases: %v", len(cases), counts)
}

// TestAnUnknownCallerIsRejected asks the same without credentials: 401 to everything.
func TestAnUnknownCallerIsRejected(t *testing.T) {
	p := start(t, setup{})
	client := p.client(t, true)
	for _, path := range []string{
		"/", "/version", "/api", "/api/v1/pods", "/api/v1/secrets", "/apis/authentication.k8s.io/v1/tokenreviews", "/healthz", "/readyz", "/metrics", "/x/%2e%2e/y",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodDelete} {
			r := p.request(t, method, path, "")
			r.Header.Del("Authorization")
			response, body := do(t, client, r)
			if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: %d %s", method, path, response.StatusCode, body)
			}
			if method != http.MethodHead && !strings.Contains(body, "neither a client certificate nor a bearer token") {
				t.Errorf("%s %s does not name what is missing: %s", method, path, body)
			}
		}
	}
	if got := p.backend.take(); len(got) > 0 {
		t.Errorf("reached the API server: %v", got)
	}
}
