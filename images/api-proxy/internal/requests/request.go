// Package requests decides what a peer may ask: it parses the request line by
// itself, strictly, and rejects what it does not understand to the last character.
// The forwarded request is built from the Request that this package returns, so
// that the judged and the forwarded request cannot differ.
package requests

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

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
	// Discover is get of a discovery document: versions and the lists of APIs.
	Discover Verb = "discover"
)

// Request is a request that may be answered.
type Request struct {
	Verb Verb
	// Group is empty for the core group, and Resource for Discover.
	Group, Version, Resource string
	// Namespace is empty for cluster scope and for all namespaces.
	Namespace, Name string
	// Query has been checked: known parameters, once each.
	Query url.Values
	// Empty is true when the proxy answers by itself with an empty list.
	Empty bool

	path string
}

// Path in its canonical form, without the query.
func (r Request) Path() string { return r.path }

// Method for the API server.
func (r Request) Method() string {
	if r.Verb == Create {
		return http.MethodPost
	}
	return http.MethodGet
}

// Label names the resource in metrics: one of few, whatever the request.
func (r Request) Label() string {
	if r.Verb == Discover {
		return "discovery"
	}
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}

// Whole is true for a list that the API server sends in one piece: without a limit,
// or from its cache (resourceVersion 0), where it ignores the limit.
func (r Request) Whole() bool {
	limit, version := r.Query.Get("limit"), r.Query.Get("resourceVersion")
	return r.Verb == List && !r.Empty && (limit == "" || limit == "0" || version == "0")
}

// WatchTime is how long a watch may last: the judge has set it.
func (r Request) WatchTime() time.Duration {
	seconds, _ := strconv.Atoi(r.Query.Get("timeoutSeconds"))
	return time.Duration(seconds) * time.Second
}

// Judge decides by the table in lib/remotereader.
type Judge struct {
	// Namespace of the control plane, where ConfigMaps with mesh configuration are.
	Namespace string
}

// Judge parses the method and the target of a request line, both as they were sent
// (http.Request's RequestURI).
func (j Judge) Judge(method, target string) (Request, *Rejection) {
	path, rawQuery, rejection := split(target)
	if rejection != nil {
		return Request{}, rejection
	}
	request, rejection := locate(path)
	if rejection != nil {
		return Request{}, rejection
	}
	switch method {
	case http.MethodGet, http.MethodPost:
	default:
		// 403 as from RBAC: 405 would mean that the resource has no such verb for anyone.
		return Request{}, reject(ReasonVerb, http.StatusForbidden, "the API proxy forwards only GET, and POST of reviews")
	}
	query, rejection := parseQuery(rawQuery)
	if rejection != nil {
		return Request{}, rejection
	}
	if request.Verb, rejection = verbOf(method, request, query); rejection != nil {
		return Request{}, rejection
	}
	if request.Empty, rejection = j.allow(request, query); rejection != nil {
		return Request{}, rejection
	}
	if request.Query, rejection = allowParameters(request.Verb, query); rejection != nil {
		return Request{}, rejection
	}
	leaveOutClusterLocal(request)
	return request, nil
}

func verbOf(method string, request Request, query url.Values) (Verb, *Rejection) {
	watch, rejection := boolean(query, "watch")
	switch {
	case rejection != nil:
		return "", rejection
	case method == http.MethodPost:
		return Create, nil
	case request.Resource == "":
		return Discover, nil
	case request.Name != "":
		return Get, nil // "watch" is not a parameter of get and is rejected with other unknown ones
	case watch:
		return Watch, nil
	default:
		return List, nil
	}
}

// allow decides by verb and resource; empty is true for what the proxy answers by itself.
func (j Judge) allow(request Request, query url.Values) (empty bool, rejection *Rejection) {
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
		return false, reject(ReasonSecret, http.StatusForbidden, "Secrets cannot be read through the API proxy")
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
	return false, reject(ReasonResource, http.StatusForbidden, "peers may not use this resource")
}

// scoped rejects a wrong verb, and a path of the other scope.
func scoped(resource remotereader.Resource, request Request, verbAllowed bool) *Rejection {
	switch {
	case !verbAllowed:
		return reject(ReasonVerb, http.StatusForbidden, "peers may not use this verb on this resource")
	case !resource.Namespaced && request.Namespace != "",
		resource.Namespaced && request.Namespace == "" && request.Name != "":
		return reject(ReasonPath, http.StatusNotFound, "the API has no such path")
	default:
		return nil
	}
}

// allowConfigMap allows reading ConfigMaps with mesh configuration one by one.
func (j Judge) allowConfigMap(request Request, query url.Values) (empty bool, rejection *Rejection) {
	name := request.Name
	if name == "" {
		name = selectedName(query)
	}
	owner := remotereader.NoMeshConfig
	if request.Namespace == j.Namespace {
		owner = remotereader.MeshConfigMap(name)
	}
	switch {
	case owner == remotereader.OwnMeshConfig:
		return false, nil
	case owner == remotereader.ForeignMeshConfig && request.Name == "":
		return true, nil
	case owner == remotereader.ForeignMeshConfig:
		return false, reject(ReasonResource, http.StatusNotFound, "this ConfigMap does not exist")
	default:
		return false, reject(ReasonResource, http.StatusForbidden,
			"peers may read only ConfigMaps with mesh configuration, one by one: fieldSelector=metadata.name=istio-<revision>")
	}
}
