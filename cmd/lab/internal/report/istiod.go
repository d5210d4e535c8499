package report

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// How Istio's own chart labels and names istiod, whatever the revision.
const (
	istiodSelector = "app=istiod"
	revisionLabel  = "istio.io/rev"
	istiodPrefix   = "istiod-"
)

// istiodChecks report of each installed istiod whether it is ready.
func istiodChecks(ctx context.Context, clients *kube.Clients, kubeconfig string) []Check {
	installed := Check{Name: "istiod is installed", Hint: "is module istio enabled? the operator's log says what it waits for"}
	deployments, err := clients.Typed.AppsV1().Deployments(names.Namespace).List(ctx, metav1.ListOptions{LabelSelector: istiodSelector})
	switch {
	case err != nil:
		installed.Message = err.Error()
		return []Check{installed}
	case len(deployments.Items) == 0:
		installed.Message = "there is no Deployment of it"
		return []Check{installed}
	}
	var checks []Check
	for i := range deployments.Items {
		checks = append(checks, istiodCheck(&deployments.Items[i], kubeconfig))
	}
	return checks
}

func istiodCheck(deployment *appsv1.Deployment, kubeconfig string) Check {
	check := Check{Name: deployment.Name + " is ready", OK: deployment.Status.ReadyReplicas > 0}
	if !check.OK {
		check.Message = fmt.Sprintf("none of its %d Pods is ready", deployment.Status.Replicas)
		check.Hint = fmt.Sprintf("kubectl --kubeconfig %s -n %s describe pods -l %s=%s says what they wait for",
			kubeconfig, deployment.Namespace, revisionLabel, deployment.Labels[revisionLabel])
	}
	return check
}
