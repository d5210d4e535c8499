package rendertest

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestProgramsThatPeersReachHaveMemoryLimitsWhichGoKnows(t *testing.T) {
	objects := load(t).render(t, "federation: {enabled: true}\nmulticluster: {enabled: true}", nil)
	for name, test := range map[string]struct{ request, measured string }{
		"api-proxy":         {"64Mi", "1174Mi"}, // BenchmarkHostilePeersThatDoNotRead
		"metadata-exporter": {"64Mi", "320Mi"},  // BenchmarkPeersThatDoNotRead, with what it has before
		"metadata-watcher":  {"32Mi", "155Mi"},  // BenchmarkHostilePeers
	} {
		container := mustDecode[*appsv1.Deployment](t, objects, "Deployment/"+name).Spec.Template.Spec.Containers[0]
		if request := container.Resources.Requests.Memory(); request.String() != test.request {
			t.Errorf("%s requests %s", name, request)
		}
		limit := container.Resources.Limits.Memory()
		if measured := resource.MustParse(test.measured); limit.Cmp(measured) <= 0 {
			t.Errorf("the limit of %s is %s: less than what was measured", name, limit)
		}
		known := valueOf(container, "GOMEMLIMIT")
		if known == "" {
			t.Errorf("GOMEMLIMIT of %s is not set: %v", name, container.Env)
			continue
		}
		given := resource.MustParse(known[:len(known)-1])
		if share := float64(given.Value()) / float64(limit.Value()); share < 0.89 || share > 0.9 {
			t.Errorf("GOMEMLIMIT of %s is %s of %s", name, known, limit)
		}
	}
}

// valueOf an environment variable, "" where there is none.
func valueOf(container corev1.Container, name string) string {
	for _, variable := range container.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}
