// Package rbactest reads what an API server says when RBAC rejects a request.
package rbactest

import (
	"regexp"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// rejection is the message of k8s.io/apiserver, in its own quotes or in those of JSON.
var rejection = regexp.MustCompile(`(?:"([^"]+)" )?is forbidden: User "([^"]+)" cannot (\S+) resource "([^"/]+)/?([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)

// Review returns the question to the API server whether the request that the line of a log says it rejected would be
// allowed now, and whether the line says so. An API server that has just started rejects requests until it knows its
// roles and their bindings: a right that is missing is one that it still denies when the question is put.
func Review(line string) (*authorizationv1.SubjectAccessReview, bool) {
	found := rejection.FindStringSubmatch(strings.ReplaceAll(line, `\"`, `"`))
	if found == nil {
		return nil, false
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:   found[2],
		Groups: groupsOf(found[2]),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Name: found[1], Verb: found[3], Resource: found[4], Subresource: found[5], Group: found[6], Namespace: found[7],
		},
	}}, true
}

// groupsOf are those that an API server gives to who authenticates as the user (k8s.io/apiserver, authentication/serviceaccount).
func groupsOf(user string) []string {
	const all = "system:serviceaccounts"
	groups := []string{"system:authenticated"}
	if account, is := strings.CutPrefix(user, "system:serviceaccount:"); is {
		namespace, _, _ := strings.Cut(account, ":")
		groups = append(groups, all, all+":"+namespace)
	}
	return groups
}
