package requests

import (
	"net/http"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const maxPath = 1024

var (
	errPath = reject(ReasonPath, http.StatusBadRequest,
		"the path is not in its canonical form: use lowercase letters, digits, '-' and '.' between single slashes")
	errUnknownPath = reject(ReasonPath, http.StatusForbidden, "peers may not use this path")
	errSubresource = reject(ReasonSubresource, http.StatusForbidden, "peers may not use subresources")

	apiVersion = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
)

// split splits a request target. It accepts only the origin form (RFC 9112,
// section 3.2.1), neither absolute URLs nor "*".
func split(target string) (path, rawQuery string, rejection *Rejection) {
	path, rawQuery, _ = strings.Cut(target, "?")
	if len(path) > maxPath || !strings.HasPrefix(path, "/") {
		return "", "", errPath
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if !plain(segment) {
			return "", "", errPath
		}
	}
	return path, rawQuery, nil
}

// plain reports whether a segment is a DNS subdomain, as every name, namespace and group
// here is. So it is not empty, "." or "..", and has no escapes, backslashes, colons,
// semicolons or anything else that two programs could read in two ways.
func plain(segment string) bool { return len(validation.IsDNS1123Subdomain(segment)) == 0 }

// locate finds the resource that a path names, not whether it may be used.
func locate(path string) (Request, *Rejection) {
	segments := strings.Split(path[1:], "/")
	request := Request{path: path}
	var rest []string
	switch root := segments[0]; {
	case root == "version" && len(segments) == 1:
		return request, nil
	case root == "api":
		if len(segments) > 1 {
			request.Version, rest = segments[1], segments[2:]
			if request.Version != "v1" {
				return Request{}, errUnknownPath
			}
		}
	case root == "apis":
		if len(segments) > 1 {
			request.Group = segments[1]
		}
		if len(segments) > 2 {
			request.Version, rest = segments[2], segments[3:]
			if !apiVersion.MatchString(request.Version) {
				return Request{}, errUnknownPath
			}
		}
	default:
		return Request{}, errUnknownPath
	}
	return locateResource(request, rest)
}

func locateResource(request Request, rest []string) (Request, *Rejection) {
	// "namespaces" is a scope when something follows the name of one, else a resource itself.
	if len(rest) > 2 && rest[0] == "namespaces" {
		request.Namespace, rest = rest[1], rest[2:]
	}
	switch len(rest) {
	case 0:
	case 1:
		request.Resource = rest[0]
	case 2:
		request.Resource, request.Name = rest[0], rest[1]
	default:
		return Request{}, errSubresource
	}
	return request, nil
}
