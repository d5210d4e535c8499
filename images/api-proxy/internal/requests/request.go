// Package requests decides what a neighbour may ask: it reads the request line
// by itself, strictly, and what it does not understand to the last character
// is refused. Whatever is forwarded later is built from the Request that came
// out here, so that what was judged and what is sent cannot differ.
package requests

import (
	"net/http"
	"net/url"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// Verb of a request, in the API's own words.
type Verb string

// The only verbs there are.
const (
	Get    Verb = "get"
	List   Verb = "list"
	Watch  Verb = "watch"
	Create Verb = "create"
	// Discover is get of what is no resource: versions and the lists of APIs.
	Discover Verb = "discover"
)

// Request is one that may be answered.
type Request struct {
	Verb Verb
	// Group is empty for the core group, and Resource for Discover.
	Group, Version, Resource string
	// Namespace is empty for cluster scope and for all namespaces.
	Namespace, Name string
	// Query has been checked: known parameters, once each.
	Query url.Values
	// Empty is true for what the proxy answers by itself with nothing in it.
	Empty bool

	path string
}

// Path in its one form, without the query.
func (r Request) Path() string { return r.path }

// Method for the API server.
func (r Request) Method() string {
	if r.Verb == Create {
		return http.MethodPost
	}
	return http.MethodGet
}

// Label names the resource in metrics: one of few, whatever is asked.
func (r Request) Label() string {
	if r.Verb == Discover {
		return "discovery"
	}
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}

// Judge decides by the table in lib/remotereader.
type Judge struct {
	// Namespace of the control plane, where ConfigMaps with mesh configuration are.
	Namespace string
}

// Judge reads the method and the target of a request line, both as they came
// (http.Request's RequestURI).
func (j Judge) Judge(method, target string) (Request, *Refusal) {
	path, rawQuery, refusal := split(target)
	if refusal != nil {
		return Request{}, refusal
	}
	request, refusal := locate(path)
	if refusal != nil {
		return Request{}, refusal
	}
	switch method {
	case http.MethodGet, http.MethodPost:
	default:
		// As RBAC would say it: 405 is of resources that have no such verb for anyone.
		return Request{}, forbid(ReasonVerb, http.StatusForbidden, "only GET, and POST of reviews, pass the API proxy")
	}
	query, refusal := parseQuery(rawQuery)
	if refusal != nil {
		return Request{}, refusal
	}
	if request.Verb, refusal = verbOf(method, request, query); refusal != nil {
		return Request{}, refusal
	}
	if request.Empty, refusal = j.allow(request, query); refusal != nil {
		return Request{}, refusal
	}
	if request.Query, refusal = allowParameters(request.Verb, query); refusal != nil {
		return Request{}, refusal
	}
	leaveOutClusterLocal(request)
	return request, nil
}

func verbOf(method string, request Request, query url.Values) (Verb, *Refusal) {
	watch, refusal := boolean(query, "watch")
	switch {
	case refusal != nil:
		return "", refusal
	case method == http.MethodPost:
		return Create, nil
	case request.Resource == "":
		return Discover, nil
	case request.Name != "":
		return Get, nil // "watch" is no parameter of get and is refused with the others
	case watch:
		return Watch, nil
	default:
		return List, nil
	}
}

// allow decides by verb and resource; empty is true for what is not there to be seen.
func (j Judge) allow(request Request, query url.Values) (empty bool, refusal *Refusal) {
	is := func(resource remotereader.Resource) bool {
		return resource.Is(request.Group, request.Version, request.Resource)
	}
	read := request.Verb == Get || request.Verb == List || request.Verb == Watch
	switch {
	case request.Verb == Discover:
		return false, nil
	case is(remotereader.Secrets) && (request.Verb == List || request.Verb == Watch):
		return true, nil
	case is(remotereader.Secrets):
		return false, forbid(ReasonSecret, http.StatusForbidden, "Secrets cannot be read through the API proxy")
	case is(remotereader.ConfigMaps) && read:
		return j.allowConfigMap(request, query)
	}
	for _, resource := range remotereader.Readable() {
		if is(resource) {
			return false, scoped(resource, request, read)
		}
	}
	for _, resource := range remotereader.Reviews() {
		if is(resource) {
			return false, scoped(resource, request, request.Verb == Create && request.Name == "")
		}
	}
	return false, forbid(ReasonResource, http.StatusForbidden, "this resource is not for neighbouring clusters")
}

// scoped refuses a wrong verb, and a path that is of the other scope.
func scoped(resource remotereader.Resource, request Request, verbAllowed bool) *Refusal {
	switch {
	case !verbAllowed:
		return forbid(ReasonVerb, http.StatusForbidden, "this verb is not for neighbouring clusters")
	case !resource.Namespaced && request.Namespace != "",
		resource.Namespaced && request.Namespace == "" && request.Name != "":
		return forbid(ReasonPath, http.StatusNotFound, "there is no such path in the API")
	default:
		return nil
	}
}

// allowConfigMap lets ConfigMaps with mesh configuration be read one by one.
func (j Judge) allowConfigMap(request Request, query url.Values) (empty bool, refusal *Refusal) {
	name := request.Name
	if name == "" {
		name = selectedName(query)
	}
	presence := remotereader.NoMeshConfig
	if request.Namespace == j.Namespace {
		presence = remotereader.MeshConfigMap(name)
	}
	switch {
	case presence == remotereader.OwnMeshConfig:
		return false, nil
	case presence == remotereader.ForeignMeshConfig && request.Name == "":
		return true, nil
	case presence == remotereader.ForeignMeshConfig:
		return false, forbid(ReasonResource, http.StatusNotFound, "there is no such ConfigMap")
	default:
		return false, forbid(ReasonResource, http.StatusForbidden,
			"of ConfigMaps only mesh configuration can be read, one by one: fieldSelector=metadata.name=istio-<revision>")
	}
}
