// Package remotereadertest makes the requests by which tests compare the API proxy
// with the table in package remotereader, and the rights that it needs for them.
package remotereadertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// Outcome of a request through the proxy.
type Outcome string

const (
	// Forwarded requests reach the API server.
	Forwarded Outcome = "forwarded"
	// Empty is an empty list or watch, by the proxy itself.
	Empty Outcome = "empty"
	// Rejected is 401, 403, 404 or 400, by the proxy.
	Rejected Outcome = "rejected"
)

// Case is one request and its expected outcome.
type Case struct {
	// Name is a verb and a path for people.
	Name         string
	Method, Path string
	Body         string
	Want         Outcome
}

// Check returns an error when an answer is not the expected one.
func (c Case) Check(code int, body []byte) error {
	byProxy := bytes.Contains(body, []byte(remotereader.MessagePrefix))
	switch {
	case c.Want == Rejected && (code < 400 || code >= 500 || code == http.StatusTooManyRequests):
		return fmt.Errorf("%s %s was answered with %d instead of a rejection", c.Method, c.Path, code)
	// HEAD has no body that could be checked.
	case c.Want == Rejected && c.Method != http.MethodHead && !byProxy:
		return fmt.Errorf("%s %s was rejected with %d, but not by the proxy: %.300s", c.Method, c.Path, code, body)
	case c.Want != Rejected && byProxy:
		return fmt.Errorf("%s %s was rejected with %d: %.300s", c.Method, c.Path, code, body)
	case c.Want == Empty && code != http.StatusOK:
		return fmt.Errorf("%s %s was answered with %d instead of an empty list: %.300s", c.Method, c.Path, code, body)
	case c.Want == Empty:
		return checkEmpty(body)
	default:
		return nil
	}
}

// checkEmpty accepts a list without items, and a watch without objects.
func checkEmpty(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	for decoder.More() {
		var answer struct {
			Type  string            `json:"type"`
			Items []json.RawMessage `json:"items"`
		}
		if err := decoder.Decode(&answer); err != nil {
			return fmt.Errorf("decode the answer: %w", err)
		}
		if len(answer.Items) > 0 || answer.Type != "" && answer.Type != "BOOKMARK" {
			return fmt.Errorf("the answer is not empty: %.300s", body)
		}
	}
	return nil
}

// Matrix combines every resource and subresource that an API server lists in
// its discovery documents with every verb, listed there or not, and adds paths that
// discovery does not list. namespace is an existing one; a test in front of a real
// API server passes the discovery documents of that.
func Matrix(discovered []*metav1.APIResourceList, namespace string) []Case {
	var cases []Case
	for _, list := range discovered {
		group, version, found := strings.Cut(list.GroupVersion, "/")
		prefix := "/apis/" + list.GroupVersion
		if !found {
			group, version, prefix = "", list.GroupVersion, "/api/"+list.GroupVersion
		}
		for _, resource := range list.APIResources {
			cases = append(cases, casesOf(group, version, prefix, namespace, resource)...)
		}
		cases = append(cases, readOnly(prefix)...)
	}
	for _, path := range []string{"/api", "/apis", "/version"} {
		cases = append(cases, readOnly(path)...)
	}
	for _, path := range []string{
		"/", "/healthz", "/livez", "/readyz", "/metrics", "/logs", "/logs/kube-apiserver.log", "/openapi/v2", "/openapi/v3",
		"/openapi/v3/api/v1", "/swagger.json", "/debug/pprof", "/debug/pprof/heap", "/debug/flags/v", "/configz", "/flagz", "/statusz",
		"/.well-known/openid-configuration", "/openid/v1/jwks", "/metrics/slis", "/api/v2", "/apis/nobody.example", "/version/openshift",
	} {
		want := Rejected
		if path == "/apis/nobody.example" {
			want = Forwarded // a discovery document, which does not exist
		}
		cases = append(cases, Case{Name: "GET " + path, Method: http.MethodGet, Path: path, Want: want})
	}
	return cases
}

// readOnly are requests for a discovery document, which can only be read.
func readOnly(path string) []Case {
	cases := []Case{{Name: "GET " + path, Method: http.MethodGet, Path: path, Want: Forwarded}}
	for _, method := range writes {
		cases = append(cases, Case{Name: method + " " + path, Method: method, Path: path, Body: "{}", Want: Rejected})
	}
	return cases
}

var writes = []string{
	http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodHead, http.MethodOptions, http.MethodTrace, "PROPFIND", "get",
}

func casesOf(group, version, prefix, namespace string, resource metav1.APIResource) []Case {
	name, subresource, isSub := strings.Cut(resource.Name, "/")
	everywhere := prefix + "/" + name
	collection := everywhere
	if resource.Namespaced {
		collection = prefix + "/namespaces/" + namespace + "/" + name
	}
	object := collection + "/some-name"
	if isSub {
		return subresourceCases(object + "/" + subresource)
	}

	read, one, create := Rejected, Rejected, Rejected
	is := func(r remotereader.Resource) bool {
		return r.Is(group, version, name) && r.Namespaced == resource.Namespaced
	}
	switch {
	case slices.ContainsFunc(remotereader.Readable(), is):
		read, one = Forwarded, Forwarded
	case slices.ContainsFunc(remotereader.Reviews(), is):
		create = Forwarded
	case is(remotereader.Secrets):
		read = Empty
	}
	collections := []string{collection}
	if resource.Namespaced {
		collections = append(collections, everywhere)
	}
	var cases []Case
	add := func(verb, method, path string, want Outcome) {
		each := Case{Name: fmt.Sprintf("%s %s", verb, path), Method: method, Path: path, Want: want}
		if method != http.MethodGet && method != http.MethodHead {
			each.Body = "{}"
		}
		cases = append(cases, each)
	}
	for _, path := range collections {
		add("list", http.MethodGet, path, read)
		add("watch", http.MethodGet, path+"?watch=true&timeoutSeconds=1", read)
		add("watch (old style)", http.MethodGet, strings.Replace(path, prefix, prefix+"/watch", 1), Rejected)
		add("create", http.MethodPost, path, create)
		for _, method := range writes[1:] {
			add(method, method, path, Rejected)
		}
	}
	add("get", http.MethodGet, object, one)
	add("watch one (old style)", http.MethodGet, strings.Replace(object, prefix, prefix+"/watch", 1), Rejected)
	for _, method := range writes {
		add(method, method, object, Rejected)
	}
	return append(cases, subresourceCases(object+"/status")...)
}

func subresourceCases(path string) []Case {
	var cases []Case
	for _, method := range append([]string{http.MethodGet}, writes...) {
		cases = append(cases, Case{Name: method + " " + path, Method: method, Path: path, Want: Rejected})
	}
	return append(cases,
		Case{Name: "GET below " + path, Method: http.MethodGet, Path: path + "/more", Want: Rejected},
		Case{Name: "watch " + path, Method: http.MethodGet, Path: path + "?watch=true", Want: Rejected})
}
