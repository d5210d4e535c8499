package remotereader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Outcome of a request through the proxy.
type Outcome string

const (
	// Forwarded requests reach the API server.
	Forwarded Outcome = "forwarded"
	// Empty is an answer of the proxy itself: there is nothing.
	Empty Outcome = "empty"
	// Refused is 401, 403, 404 or 400, by the proxy.
	Refused Outcome = "refused"
)

// Case is one request and what has to become of it.
type Case struct {
	// Name is a path and a verb for people.
	Name         string
	Method, Path string
	Body         string
	Want         Outcome
}

// MessagePrefix begins the message of every answer that the proxy gives by
// itself instead of asking the API server, so that people and tests can tell
// whose word it is.
const MessagePrefix = "istio api-proxy: "

// Check tells whether an answer is the one that the case wants.
func (c Case) Check(code int, body []byte) error {
	byProxy := bytes.Contains(body, []byte(MessagePrefix))
	switch {
	case c.Want == Refused && (code < 400 || code >= 500 || code == http.StatusTooManyRequests):
		return fmt.Errorf("%s %s was answered with %d: it is to be refused", c.Method, c.Path, code)
	// HEAD has no body to tell by.
	case c.Want == Refused && c.Method != http.MethodHead && !byProxy:
		return fmt.Errorf("%s %s was refused with %d, but not by the proxy: %.300s", c.Method, c.Path, code, body)
	case c.Want != Refused && byProxy:
		return fmt.Errorf("%s %s was refused with %d: %.300s", c.Method, c.Path, code, body)
	case c.Want == Empty && code != http.StatusOK:
		return fmt.Errorf("%s %s was answered with %d instead of something empty: %.300s", c.Method, c.Path, code, body)
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
			return fmt.Errorf("the answer cannot be read: %w", err)
		}
		if len(answer.Items) > 0 || answer.Type != "" && answer.Type != "BOOKMARK" {
			return fmt.Errorf("the answer is not empty: %.300s", body)
		}
	}
	return nil
}

// Matrix crosses every resource and subresource that an API server lists in
// its discovery documents with every verb, listed there or not, and adds what
// discovery does not list. namespace is one that exists; a test in front of a
// real API server passes what it discovered there.
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
		want := Refused
		if path == "/apis/nobody.example" {
			want = Forwarded // a discovery document, which does not exist
		}
		cases = append(cases, Case{Name: "GET " + path, Method: http.MethodGet, Path: path, Want: want})
	}
	return cases
}

// readOnly is a discovery document: it can be read, and nothing else.
func readOnly(path string) []Case {
	cases := []Case{{Name: "GET " + path, Method: http.MethodGet, Path: path, Want: Forwarded}}
	for _, method := range writes {
		cases = append(cases, Case{Name: method + " " + path, Method: method, Path: path, Body: "{}", Want: Refused})
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

	read, one, create := Refused, Refused, Refused
	is := func(r Resource) bool { return r.Is(group, version, name) && r.Namespaced == resource.Namespaced }
	switch {
	case slices.ContainsFunc(readable, is):
		read, one = Forwarded, Forwarded
	case slices.ContainsFunc(reviews, is):
		create = Forwarded
	case is(Secrets):
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
		add("watch (old style)", http.MethodGet, strings.Replace(path, prefix, prefix+"/watch", 1), Refused)
		add("create", http.MethodPost, path, create)
		for _, method := range writes[1:] {
			add(method, method, path, Refused)
		}
	}
	add("get", http.MethodGet, object, one)
	add("watch one (old style)", http.MethodGet, strings.Replace(object, prefix, prefix+"/watch", 1), Refused)
	for _, method := range writes {
		add(method, method, object, Refused)
	}
	return append(cases, subresourceCases(object+"/status")...)
}

func subresourceCases(path string) []Case {
	var cases []Case
	for _, method := range append([]string{http.MethodGet}, writes...) {
		cases = append(cases, Case{Name: method + " " + path, Method: method, Path: path, Want: Refused})
	}
	return append(cases,
		Case{Name: "GET below " + path, Method: http.MethodGet, Path: path + "/more", Want: Refused},
		Case{Name: "watch " + path, Method: http.MethodGet, Path: path + "?watch=true", Want: Refused})
}
