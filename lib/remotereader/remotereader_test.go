package remotereader_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/remotereader"
	"github.com/deckhouse-mesh/istio/test/support/remotereadertest"
)

// TestTheTableHasExactlyTheseResources repeats the table: one line more or less is a decision, not an accident.
func TestTheTableHasExactlyTheseResources(t *testing.T) {
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
	for _, rule := range append(remotereadertest.ClusterRights(), remotereadertest.ControlPlaneRights()...) {
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

func TestMeshConfigMapReturnsTheOwner(t *testing.T) {
	for name, want := range map[string]remotereader.MeshConfigOwner{
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
