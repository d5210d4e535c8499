package requests

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

var judge = Judge{Namespace: "d8-istio"}

func TestRequestsOfIstiodAreAllowed(t *testing.T) {
	for target, want := range map[string]Request{
		"/api/v1/pods?fieldSelector=status.phase%21%3DFailed&limit=500&resourceVersion=0": {Verb: List, Version: "v1", Resource: "pods"},
		"/api/v1/pods?allowWatchBookmarks=true&fieldSelector=status.phase%21%3DFailed&resourceVersion=42&timeoutSeconds=471&watch=true": {
			Verb: Watch, Version: "v1", Resource: "pods"},
		"/api/v1/services?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=5&watch=true": {
			Verb: Watch, Version: "v1", Resource: "services"},
		"/api/v1/namespaces?limit=500": {Verb: List, Version: "v1", Resource: "namespaces"},
		"/api/v1/namespaces/d8-istio":  {Verb: Get, Version: "v1", Resource: "namespaces", Name: "d8-istio"},
		"/api/v1/nodes":                {Verb: List, Version: "v1", Resource: "nodes"},
		"/api/v1/nodes/n1.example":     {Verb: Get, Version: "v1", Resource: "nodes", Name: "n1.example"},
		"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices": {
			Verb: List, Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices", Namespace: "shop"},
		"/apis/gateway.networking.k8s.io/v1beta1/gateways": {
			Verb: List, Group: "gateway.networking.k8s.io", Version: "v1beta1", Resource: "gateways"},
		"/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%3Distio-v1x31&watch=1": {
			Verb: Watch, Version: "v1", Resource: "configmaps", Namespace: "d8-istio"},
		"/api/v1/namespaces/d8-istio/configmaps/istio": {
			Verb: Get, Version: "v1", Resource: "configmaps", Namespace: "d8-istio", Name: "istio"},
		"/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%3Distio-v1x99": {
			Verb: List, Version: "v1", Resource: "configmaps", Namespace: "d8-istio", Empty: true},
		"/api/v1/secrets?fieldSelector=type%21%3Dhelm.sh%2Frelease.v1": {Verb: List, Version: "v1", Resource: "secrets", Empty: true},
		"/api/v1/namespaces/shop/secrets?watch=true":                   {Verb: Watch, Version: "v1", Resource: "secrets", Namespace: "shop", Empty: true},
		"/version?timeout=32s":                                         {Verb: Discover},
		"/api":                                                         {Verb: Discover},
		"/api/v1":                                                      {Verb: Discover, Version: "v1"},
		"/apis":                                                        {Verb: Discover},
		"/apis/apps":                                                   {Verb: Discover, Group: "apps"},
		"/apis/apps/v1":                                                {Verb: Discover, Group: "apps", Version: "v1"},
	} {
		got, rejection := judge.Judge(http.MethodGet, target)
		if rejection != nil {
			t.Errorf("GET %s: rejected for its %s: %s", target, rejection.Reason, rejection.Message)
			continue
		}
		path, _, _ := strings.Cut(target, "?")
		if got.Path() != path || got.Method() != http.MethodGet {
			t.Errorf("GET %s becomes %s %s", target, got.Method(), got.Path())
		}
		got.path, got.Query = "", nil
		if got.Verb != want.Verb || got.Group != want.Group || got.Version != want.Version || got.Resource != want.Resource ||
			got.Namespace != want.Namespace || got.Name != want.Name || got.Empty != want.Empty {
			t.Errorf("GET %s is %+v, want %+v", target, got, want)
		}
	}
	for _, target := range []string{"/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s"} {
		if got, rejection := judge.Judge(http.MethodPost, target); rejection != nil || got.Verb != Create || got.Method() != http.MethodPost {
			t.Errorf("POST %s: %+v, %v", target, got, rejection)
		}
	}
}

func TestRejectedRequestsHaveAReason(t *testing.T) {
	for name, test := range map[string]struct {
		method, target string
		want           Reason
	}{
		"two slashes":                         {"GET", "//api/v1/pods", ReasonPath},
		"two slashes inside":                  {"GET", "/api/v1//pods", ReasonPath},
		"a slash at the end":                  {"GET", "/api/v1/pods/", ReasonPath},
		"the root":                            {"GET", "/", ReasonPath},
		"nothing":                             {"GET", "", ReasonPath},
		"a dot":                               {"GET", "/api/v1/./pods", ReasonPath},
		"two dots":                            {"GET", "/api/v1/pods/../secrets", ReasonPath},
		"two dots escaped":                    {"GET", "/api/v1/pods/%2e%2e/secrets", ReasonPath},
		"a slash escaped":                     {"GET", "/api/v1/pods%2fx%2flog", ReasonPath},
		"a letter escaped":                    {"GET", "/api/v1/%73ecrets", ReasonPath},
		"an escape escaped":                   {"GET", "/api/v1/%252e%252e/secrets", ReasonPath},
		"a NUL":                               {"GET", "/api/v1/pods%00", ReasonPath},
		"a backslash":                         {"GET", `/api/v1\secrets`, ReasonPath},
		"a semicolon":                         {"GET", "/api/v1/pods;x=/secrets", ReasonPath},
		"a fragment":                          {"GET", "/api/v1/pods#/secrets", ReasonPath},
		"capitals":                            {"GET", "/API/v1/pods", ReasonPath},
		"letters of other alphabets":          {"GET", "/api/v1/secr\u0435ts", ReasonPath},
		"an absolute URL":                     {"GET", "http://10.0.0.1/api/v1/pods", ReasonPath},
		"an authority":                        {"CONNECT", "10.0.0.1:443", ReasonPath},
		"an asterisk":                         {"OPTIONS", "*", ReasonPath},
		"a very long path":                    {"GET", "/api/v1/" + strings.Repeat("a", maxPath), ReasonPath},
		"a very long name":                    {"GET", "/api/v1/nodes/" + strings.Repeat("a", 254), ReasonPath},
		"a colon":                             {"GET", "/api/v1/namespaces/x/services/https:web:443/proxy", ReasonPath},
		"no API":                              {"GET", "/metrics", ReasonPath},
		"another core version":                {"GET", "/api/v2/pods", ReasonPath},
		"a version that is none":              {"GET", "/apis/apps/latest/deployments", ReasonPath},
		"below version":                       {"GET", "/version/x", ReasonPath},
		"a Pod without namespace":             {"GET", "/api/v1/pods/x", ReasonPath},
		"a Node in a namespace":               {"GET", "/api/v1/namespaces/x/nodes/y", ReasonPath},
		"logs":                                {"GET", "/api/v1/namespaces/x/pods/y/log", ReasonSubresource},
		"exec":                                {"POST", "/api/v1/namespaces/x/pods/y/exec", ReasonSubresource},
		"a Node's proxy":                      {"GET", "/api/v1/nodes/x/proxy", ReasonSubresource},
		"a Node's proxy below":                {"GET", "/api/v1/nodes/x/proxy/logs", ReasonSubresource},
		"a namespace's status":                {"GET", "/api/v1/namespaces/x/status", ReasonResource},
		"finalizing a namespace":              {"POST", "/api/v1/namespaces/x/finalize", ReasonResource},
		"the old way to watch":                {"GET", "/api/v1/watch/pods", ReasonResource},
		"the old way to watch Secrets":        {"GET", "/api/v1/watch/namespaces/x/secrets", ReasonSubresource},
		"the old proxy":                       {"GET", "/api/v1/proxy/nodes/x", ReasonSubresource},
		"a Secret":                            {"GET", "/api/v1/namespaces/x/secrets/y", ReasonSecret},
		"a Secret without namespace":          {"GET", "/api/v1/secrets/y", ReasonSecret},
		"creating a Secret":                   {"POST", "/api/v1/namespaces/x/secrets", ReasonSecret},
		"Secrets of another group":            {"GET", "/apis/apps/v1/secrets", ReasonResource},
		"all ConfigMaps":                      {"GET", "/api/v1/configmaps", ReasonResource},
		"the ConfigMaps of the control plane": {"GET", "/api/v1/namespaces/d8-istio/configmaps", ReasonResource},
		"another ConfigMap":                   {"GET", "/api/v1/namespaces/d8-istio/configmaps/istio-ca-root-cert", ReasonResource},
		"mesh configuration elsewhere":        {"GET", "/api/v1/namespaces/shop/configmaps/istio", ReasonResource},
		"mesh configuration of all namespaces": {"GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Distio",
			ReasonResource},
		"ConfigMaps selected by two fields": {"GET", "/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%3Distio,metadata.namespace%3Dx", ReasonResource},
		"ConfigMaps except one":             {"GET", "/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%21%3Distio", ReasonResource},
		"no such mesh configuration":        {"GET", "/api/v1/namespaces/d8-istio/configmaps/istio-v1x99", ReasonResource},
		"creating a ConfigMap":              {"POST", "/api/v1/namespaces/d8-istio/configmaps", ReasonResource},
		"Deployments":                       {"GET", "/apis/apps/v1/deployments", ReasonResource},
		"Istio's own resources":             {"GET", "/apis/networking.istio.io/v1/gateways", ReasonResource},
		"another version of a resource":     {"GET", "/apis/networking.istio.io/v1beta1/workloadentries", ReasonResource},
		"reviews of oneself":                {"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", ReasonResource},
		"listing reviews":                   {"GET", "/apis/authentication.k8s.io/v1/tokenreviews", ReasonVerb},
		"a review in a namespace":           {"POST", "/apis/authorization.k8s.io/v1/namespaces/x/subjectaccessreviews", ReasonPath},
		"a review with a name":              {"POST", "/apis/authentication.k8s.io/v1/tokenreviews/x", ReasonVerb},
		"creating a Pod":                    {"POST", "/api/v1/namespaces/x/pods", ReasonVerb},
		"posting to discovery":              {"POST", "/apis", ReasonResource},
		"deleting":                          {"DELETE", "/api/v1/namespaces/x/pods", ReasonVerb},
		"HEAD":                              {"HEAD", "/api/v1/pods", ReasonVerb},
		"a method in small letters":         {"get", "/api/v1/pods", ReasonVerb},
		"an unknown parameter":              {"GET", "/api/v1/pods?includeUninitialized=true", ReasonQuery},
		"exec's parameters":                 {"GET", "/api/v1/namespaces/x/pods/y?command=sh", ReasonQuery},
		"a parameter twice":                 {"GET", "/api/v1/pods?watch=false&watch=true", ReasonQuery},
		"an empty watch, which means true":  {"GET", "/api/v1/pods?watch=", ReasonQuery},
		"watch without a value":             {"GET", "/api/v1/pods?watch", ReasonQuery},
		"watch spelled otherwise":           {"GET", "/api/v1/pods?watch=yes", ReasonQuery},
		"watching one by its path":          {"GET", "/api/v1/namespaces/x/pods/y?watch=true", ReasonQuery},
		"a semicolon in the query":          {"GET", "/api/v1/pods?limit=1;watch=true", ReasonQuery},
		"a bad escape in the query":         {"GET", "/api/v1/pods?limit=%zz", ReasonQuery},
		"a line break in the query":         {"GET", "/api/v1/pods?labelSelector=a%0d%0aX:y", ReasonQuery},
		"other alphabets in the query":      {"GET", "/api/v1/pods?labelSelector=%D0%B5", ReasonQuery},
		"a limit that is no number":         {"GET", "/api/v1/pods?limit=-1", ReasonQuery},
		"a dry run of a review":             {"POST", "/apis/authentication.k8s.io/v1/tokenreviews?dryRun=All", ReasonQuery},
		"a very long query":                 {"GET", "/api/v1/pods?labelSelector=" + strings.Repeat("a", maxQuery), ReasonQuery},
		"a timeout that is none":            {"GET", "/version?timeout=-5s", ReasonQuery},
		"initial events of a list":          {"GET", "/api/v1/pods?sendInitialEvents=true", ReasonQuery},
	} {
		t.Run(name, func(t *testing.T) {
			got, rejection := judge.Judge(test.method, test.target)
			if rejection == nil {
				t.Fatalf("passed as %+v", got)
			}
			if rejection.Reason != test.want || rejection.Code < 400 || rejection.Message == "" {
				t.Errorf("rejected for its %s (%d %s), want %s", rejection.Reason, rejection.Code, rejection.Message, test.want)
			}
		})
	}
}

func TestAWatchEndsSoonEnoughToCheckCredentialsAgain(t *testing.T) {
	for asked, want := range map[string]string{
		"": "1800", "&timeoutSeconds=300": "300", "&timeoutSeconds=86400": "1800", "&timeoutSeconds=0": "1800",
	} {
		got, rejection := judge.Judge(http.MethodGet, "/api/v1/pods?watch=1"+asked)
		if rejection != nil || got.Query.Get("timeoutSeconds") != want || got.Query.Get("watch") != "true" {
			t.Errorf("watch=1%s becomes %v, %v; want timeoutSeconds=%s", asked, got.Query, rejection, want)
		}
	}
}

// apiServer reads requests as the API server does before it asks RBAC.
var apiServer = request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// FuzzJudgeAgreesWithTheAPIServer: whatever passes here is, to the API server's
// own parser, exactly the same request as here.
func FuzzJudgeAgreesWithTheAPIServer(f *testing.F) {
	for _, seed := range []string{
		"/api/v1/pods?watch=true", "/api/v1/namespaces/x/pods/y", "/api/v1/namespaces", "/api/v1/namespaces/x", "/apis/apps/v1",
		"/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%3Distio", "/api/v1/watch/secrets", "/version",
		"/apis/authentication.k8s.io/v1/tokenreviews", "/api/v1/nodes/n?resourceVersion=1", "//x", "/api/v1/%2e%2e/secrets",
		"/api/v1/secrets?watch=1&sendInitialEvents=true", "/api/v1/watch/namespaces/x/secrets/y", "/api/v1/pods?watch", "/api/v1/pods?watch=0&watch=1",
		"/api/v1/namespaces/x/pods/y/exec?command=sh", "/api/v1/services?labelSelector=a%2C%21b", "/api/v1/pods?fieldSelector=metadata.name%3D..%2Fx",
		"/apis/networking.istio.io/v1/namespaces/x/workloadentries?limit=5&continue=YQ", "/api/v1/namespaces/d8-istio/configmaps?fieldSelector=metadata.name%3Distio-v1x77&watch=1",
		"/api/v1/namespaces/namespaces/pods/namespaces", "/api/v1/namespaces/x/namespaces/y",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			f.Add(method, seed)
		}
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		got, rejection := judge.Judge(method, target)
		if rejection != nil {
			return
		}
		sent := &http.Request{Method: got.Method(), URL: &url.URL{Path: got.Path(), RawQuery: got.Query.Encode()}, Header: http.Header{}}
		if got.Path() != strings.SplitN(target, "?", 2)[0] {
			t.Fatalf("%q is sent as %q", target, got.Path())
		}
		info, err := apiServer.NewRequestInfo(sent)
		if err != nil {
			t.Fatalf("%s %q: the API server rejects: %v", method, target, err)
		}
		if got.Verb == Discover {
			if info.IsResourceRequest {
				t.Fatalf("%s %q is the resource %+v to the API server", method, target, info)
			}
			return
		}
		name, namespace := got.Name, got.Namespace
		if info.Resource == "namespaces" {
			namespace = info.Namespace // the API server counts a namespace as in itself
		}
		if name == "" {
			name = selectedNameOf(got) // and takes a selected name for a name
		}
		if !info.IsResourceRequest || info.Verb != string(got.Verb) || info.APIGroup != got.Group || info.APIVersion != got.Version ||
			info.Resource != got.Resource || info.Subresource != "" || info.Namespace != namespace || info.Name != name {
			t.Fatalf("%s %q is %+v here and %+v to the API server", method, target, got, info)
		}
		if !got.Empty && !permitted(info) {
			t.Fatalf("%s %q would be forwarded, and is %+v to the API server", method, target, info)
		}
		if got.Empty && info.Resource != "secrets" && info.Resource != "configmaps" {
			t.Fatalf("%s %q would be answered with nothing", method, target)
		}
	})
}

// permitted reports whether the proxy's own roles allow what the API server makes
// of a request: they are the allow-list in words that are not this package's.
func permitted(info *request.RequestInfo) bool {
	rules := remotereadertest.ClusterRights()
	if info.Namespace == judge.Namespace {
		rules = append(rules, remotereadertest.ControlPlaneRights()...)
	}
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Verbs, info.Verb) && slices.Contains(rule.APIGroups, info.APIGroup) &&
			slices.Contains(rule.Resources, info.Resource) && info.Subresource == "" &&
			(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, info.Name))
	})
}

// selectedNameOf is the name that the API server finds in a field selector.
func selectedNameOf(r Request) string {
	sent := &http.Request{Method: r.Method(), URL: &url.URL{Path: "/api/v1/pods", RawQuery: r.Query.Encode()}}
	info, err := apiServer.NewRequestInfo(sent)
	if err != nil {
		return ""
	}
	return info.Name
}
