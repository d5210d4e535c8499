package remotereader_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// TestTheTable repeats the table: one line more or less is a decision, not an accident.
func TestTheTable(t *testing.T) {
	wanted := []string{
		"cluster /v1 namespaces", "cluster /v1 nodes", "namespaced /v1 pods", "namespaced /v1 services",
		"namespaced discovery.k8s.io/v1 endpointslices",
		"cluster apiextensions.k8s.io/v1 customresourcedefinitions",
		"namespaced networking.istio.io/v1 workloadentries",
		"namespaced gateway.networking.k8s.io/v1 gateways", "namespaced gateway.networking.k8s.io/v1beta1 gateways",
	}
	if got := lines(remotereader.Readable()); !slices.Equal(got, wanted) {
		t.Errorf("readable are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	wanted = []string{"cluster authentication.k8s.io/v1 tokenreviews", "cluster authorization.k8s.io/v1 subjectaccessreviews"}
	if got := lines(remotereader.Reviews()); !slices.Equal(got, wanted) {
		t.Errorf("reviews are %v, want %v", got, wanted)
	}
}

func lines(resources []remotereader.Resource) []string {
	var lines []string
	for _, resource := range resources {
		scope := "cluster"
		if resource.Namespaced {
			scope = "namespaced"
		}
		for _, version := range resource.Versions {
			lines = append(lines, fmt.Sprintf("%s %s/%s %s", scope, resource.Group, version, resource.Name))
		}
	}
	return lines
}

func TestNoRightReachesASecret(t *testing.T) {
	for _, rule := range append(remotereader.ClusterRights(), remotereader.ControlPlaneRights()...) {
		for _, forbidden := range []string{"secrets", "*", "pods/exec", "pods/log", "serviceaccounts/token"} {
			if slices.Contains(rule.Resources, forbidden) || slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Verbs, "*") {
				t.Errorf("rule %v has too much", rule)
			}
		}
		if slices.Contains(rule.Resources, "configmaps") && len(rule.ResourceNames) == 0 {
			t.Errorf("rule %v lets read every ConfigMap", rule)
		}
	}
}

func TestMeshConfigMapKnowsWhoseItIs(t *testing.T) {
	for name, want := range map[string]remotereader.MeshConfig{
		"istio":                  remotereader.OwnMeshConfig,
		"istio-v1x29":            remotereader.OwnMeshConfig,
		"istio-v1x31":            remotereader.OwnMeshConfig,
		"istio-v1x99":            remotereader.ForeignMeshConfig,
		"istio-v1x31x3":          remotereader.NoMeshConfig,
		"istio-ca-root-cert":     remotereader.NoMeshConfig,
		"istio-sidecar-injector": remotereader.NoMeshConfig,
		"":                       remotereader.NoMeshConfig,
		"xistio-v1x31":           remotereader.NoMeshConfig,
		"istio-v1x31\nx":         remotereader.NoMeshConfig,
	} {
		if got := remotereader.MeshConfigMap(name); got != want {
			t.Errorf("MeshConfigMap(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestTheMatrixAsksForEveryVerbOfEveryResource(t *testing.T) {
	cases := remotereader.Matrix([]*metav1.APIResourceList{{
		GroupVersion: "v1",
		APIResources: []metav1.APIResource{
			{Name: "pods", Namespaced: true}, {Name: "pods/exec", Namespaced: true}, {Name: "secrets", Namespaced: true}, {Name: "nodes"},
		},
	}}, "shop")
	wanted := map[string]remotereader.Outcome{
		"GET /api/v1/pods": remotereader.Forwarded, "GET /api/v1/namespaces/shop/pods/some-name": remotereader.Forwarded,
		"DELETE /api/v1/namespaces/shop/pods": remotereader.Refused, "POST /api/v1/namespaces/shop/pods/some-name/exec": remotereader.Refused,
		"GET /api/v1/secrets": remotereader.Empty, "GET /api/v1/namespaces/shop/secrets/some-name": remotereader.Refused,
		"GET /api/v1/nodes/some-name": remotereader.Forwarded, "GET /api/v1/watch/pods": remotereader.Refused,
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
