package report

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

func TestIstiodChecks(t *testing.T) {
	istiod := func(revision string, ready int32) runtime.Object {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "d8-istio", Name: "istiod-" + revision, Labels: map[string]string{"app": "istiod", "istio.io/rev": revision},
			},
			Status: appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: ready},
		}
	}
	for name, test := range map[string]struct {
		objects []runtime.Object
		// want is the names of the checks, those that fail with an × before them.
		want string
	}{
		"without one, that is said":  {nil, "×istiod is installed"},
		"a ready one is as expected": {[]runtime.Object{istiod("v1x31", 1)}, "istiod-v1x31 is ready"},
		"each revision is looked at": {[]runtime.Object{istiod("v1x30", 0), istiod("v1x31", 1)}, "×istiod-v1x30 is ready, istiod-v1x31 is ready"},
		"another Deployment is none": {[]runtime.Object{&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "d8-istio", Name: "kiali"}}}, "×istiod is installed"},
	} {
		t.Run(name, func(t *testing.T) {
			clients := &kube.Clients{Typed: fake.NewClientset(test.objects...)}
			var got []string
			for _, check := range istiodChecks(t.Context(), clients, "/lab/kubeconfig") {
				if check.OK {
					got = append(got, check.Name)
					continue
				}
				got = append(got, "×"+check.Name)
				if check.Message == "" || check.Hint == "" {
					t.Errorf("%+v does not say what to do", check)
				}
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("the checks are %q", got)
			}
		})
	}
}
