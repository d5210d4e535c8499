package remotereadertest_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

func TestTheMatrixAsksForEveryVerbOfEveryResource(t *testing.T) {
	cases := remotereadertest.Matrix([]*metav1.APIResourceList{{
		GroupVersion: "v1",
		APIResources: []metav1.APIResource{
			{Name: "pods", Namespaced: true}, {Name: "pods/exec", Namespaced: true}, {Name: "secrets", Namespaced: true}, {Name: "nodes"},
		},
	}}, "shop")
	wanted := map[string]remotereadertest.Outcome{
		"GET /api/v1/pods": remotereadertest.Forwarded, "GET /api/v1/namespaces/shop/pods/some-name": remotereadertest.Forwarded,
		"DELETE /api/v1/namespaces/shop/pods": remotereadertest.Rejected, "POST /api/v1/namespaces/shop/pods/some-name/exec": remotereadertest.Rejected,
		"GET /api/v1/secrets": remotereadertest.Empty, "GET /api/v1/namespaces/shop/secrets/some-name": remotereadertest.Rejected,
		"GET /api/v1/nodes/some-name": remotereadertest.Forwarded, "GET /api/v1/watch/pods": remotereadertest.Rejected,
	}
	for _, each := range cases {
		key := each.Method + " " + each.Path
		if want, ok := wanted[key]; ok {
			if each.Want != want {
				t.Errorf("%s is wanted %s, want %s", key, each.Want, want)
			}
			delete(wanted, key)
		}
	}
	for key := range wanted {
		t.Errorf("the matrix lacks %s", key)
	}
}
