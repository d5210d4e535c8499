package rbactest_test

import (
	"reflect"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/deckhouse-mesh/istio/test/support/rbactest"
)

const istiod = "system:serviceaccount:d8-istio:istiod-v1x31"

func TestReview(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want authorizationv1.ResourceAttributes
	}{
		"in the whole cluster, before the bindings were known": {
			line: `error	watch error in cluster e4: endpointslices.discovery.k8s.io is forbidden: User "` + istiod + `" cannot watch resource "endpointslices" in API group "discovery.k8s.io" at the cluster scope - error from a previous attempt: read tcp 10.244.1.16:45626->10.96.0.1:443: read: connection reset by peer`,
			want: authorizationv1.ResourceAttributes{Verb: "watch", Group: "discovery.k8s.io", Resource: "endpointslices"},
		},
		"one object": {
			line: `error retrieving resource lock d8-istio/election: configmaps "election" is forbidden: User "` + istiod + `" cannot get resource "configmaps" in API group "" in the namespace "d8-istio"`,
			want: authorizationv1.ResourceAttributes{Verb: "get", Resource: "configmaps", Namespace: "d8-istio", Name: "election"},
		},
		"before the roles were known": {
			line: `services is forbidden: User "` + istiod + `" cannot list resource "services" in API group "" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "istiod" not found`,
			want: authorizationv1.ResourceAttributes{Verb: "list", Resource: "services"},
		},
		"a subresource, in JSON": {
			line: `{"error":"istiofederations.deckhouse.io \"b\" is forbidden: User \"` + istiod + `\" cannot patch resource \"istiofederations/status\" in API group \"deckhouse.io\" at the cluster scope"}`,
			want: authorizationv1.ResourceAttributes{Verb: "patch", Group: "deckhouse.io", Resource: "istiofederations", Subresource: "status", Name: "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := authorizationv1.SubjectAccessReviewSpec{
				User:               istiod,
				Groups:             []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:d8-istio"},
				ResourceAttributes: &test.want,
			}
			review, is := rbactest.Review(test.line)
			if !is || !reflect.DeepEqual(review.Spec, want) {
				t.Errorf("%v, want %v", review, want)
			}
		})
	}
}

func TestReviewOfOtherRejections(t *testing.T) {
	for _, line := range []string{
		`configmaps "a" is forbidden: unable to create new content in namespace b because it is being terminated`,
		`serviceentries.networking.istio.io "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no`,
		`Secret "a" is invalid: data: Forbidden: field is immutable when it is set`,
		"",
	} {
		if review, is := rbactest.Review(line); is {
			t.Errorf("%q is taken for a right that is missing: %v", line, review.Spec)
		}
	}
}
