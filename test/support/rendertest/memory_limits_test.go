package rendertest

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestTheAPIProxyHasAMemoryLimitWhichGoKnows(t *testing.T) {
	pod := mustDecode[*appsv1.Deployment](t, load(t).render(t, "multicluster: {enabled: true}", nil), "Deployment/api-proxy").Spec.Template.Spec
	container := pod.Containers[0]
	if request := container.Resources.Requests.Memory(); request.String() != "64Mi" {
		t.Errorf("%s are requested", request)
	}
	limit := container.Resources.Limits.Memory()
	if measured := resource.MustParse("1174Mi"); limit.Cmp(measured) <= 0 {
		t.Errorf("the limit is %s: less than what was measured", limit)
	}
	for _, variable := range container.Env {
		if variable.Name == "GOMEMLIMIT" {
			given := resource.MustParse(variable.Value[:len(variable.Value)-1])
			if share := float64(given.Value()) / float64(limit.Value()); share < 0.89 || share > 0.9 {
				t.Errorf("GOMEMLIMIT is %s of %s", variable.Value, limit)
			}
			return
		}
	}
	t.Errorf("GOMEMLIMIT is not set: %v", container.Env)
}
