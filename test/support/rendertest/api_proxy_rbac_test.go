package rendertest

import (
	"reflect"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

// TestAPIProxyRights compares the proxy's roles with what it forwards and looks at itself: one
// right more or less is a decision, made in lib/remotereader.
func TestAPIProxyRights(t *testing.T) {
	objects := load(t).render(t, multicluster, nil)
	inCluster := append(remotereadertest.ClusterRights(), remotereadertest.OwnClusterRights()...)
	if got := mustDecode[*rbacv1.ClusterRole](t, objects, "ClusterRole/d8:istio:api-proxy").Rules; !reflect.DeepEqual(got, inCluster) {
		t.Errorf("the ClusterRole has\n%v\nwant\n%v", got, inCluster)
	}
	ownSecret := rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"},
		ResourceNames: []string{"d8-remote-clusters-public-metadata"}, Verbs: []string{"get", "list", "watch"},
	}
	want := append([]rbacv1.PolicyRule{ownSecret}, remotereadertest.ControlPlaneRights()...)
	if got := mustDecode[*rbacv1.Role](t, objects, "Role/api-proxy").Rules; !reflect.DeepEqual(got, want) {
		t.Errorf("the Role has\n%v\nwant\n%v", got, want)
	}
	for _, kind := range []string{"ClusterRoleBinding/d8:istio:api-proxy", "RoleBinding/api-proxy", "ServiceAccount/api-proxy"} {
		if _, ok := objects[kind]; !ok {
			t.Errorf("%s is not rendered", kind)
		}
	}
}

func TestNoAPIProxyWithoutMulticluster(t *testing.T) {
	for _, key := range load(t).render(t, federation, nil).Keys() {
		if strings.HasSuffix(key, "api-proxy") {
			t.Errorf("%s is rendered", key)
		}
	}
}
