package rollout

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// AwaitDeployment waits until all Pods of a Deployment are current and available.
// note gets what is missing.
func AwaitDeployment(ctx context.Context, client kubernetes.Interface, namespace, name string, timeout time.Duration, note func(string)) error {
	err := await.Until(ctx, timeout, func(ctx context.Context) (bool, string, error) {
		deployment, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return await.NotYet(err)
		}
		missing := DeploymentMissing(deployment)
		if missing == "" {
			return true, "", nil
		}
		missing += Explain(ctx, client, namespace, deployment.Spec.Selector)
		note(missing)
		return false, missing, nil
	})
	if err != nil {
		return fmt.Errorf("wait for Deployment %s/%s: %w", namespace, name, err)
	}
	return nil
}
