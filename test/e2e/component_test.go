//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// component is a program that a cluster runs as Pods of a Deployment or a DaemonSet.
type component struct {
	namespace, name string
	// selector finds its Pods in the namespace, container is the program's in each.
	selector, container string
}

var (
	operator = component{"d8-system", "istio-operator", "app=istio-operator", "operator"}
	exporter = component{moduleNamespace, exporterName, "app=metadata-exporter", exporterName}
	watcher  = component{moduleNamespace, watcherName, "app=metadata-watcher", watcherName}
	apiProxy = component{moduleNamespace, "api-proxy", "app=api-proxy", "api-proxy"}
	gateway  = component{moduleNamespace, "ingressgateway", "app=ingressgateway", proxyContainer}
	// healthchecker is the program that calls peers through the mesh.
	healthchecker = component{moduleNamespace, healthcheck.Name, "app=" + healthcheck.Name, healthcheck.Name}
	// ingressController is the lab's Traefik.
	ingressController = component{"lab-ingress", "traefik", "app=traefik", "traefik"}
)

// istiodOf the version.
func istiodOf(version istioversion.Version) component {
	return component{moduleNamespace, "istiod-" + version.Revision(), "app=istiod,istio.io/rev=" + version.Revision(), "discovery"}
}

func (k component) String() string { return k.name }

// pods of the component, the oldest first; those that end are among them until they have.
func (c *cluster) pods(of component) ([]corev1.Pod, error) {
	list, err := c.typed.CoreV1().Pods(of.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: of.selector})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return list.Items, nil
}

// containerStatus of a Pod's container, nil before the kubelet has reported one.
func containerStatus(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == name {
				return &statuses[i]
			}
		}
	}
	return nil
}

// readyPod of the component, the youngest that is not ending.
func (c *cluster) readyPod(of component) (*corev1.Pod, error) {
	pods, err := c.pods(of)
	if err != nil {
		return nil, err
	}
	for i := len(pods) - 1; i >= 0; i-- {
		if status := containerStatus(&pods[i], of.container); pods[i].DeletionTimestamp == nil && status != nil && status.Ready {
			return &pods[i], nil
		}
	}
	return nil, fmt.Errorf("of %d Pods of %s in %s none is ready", len(pods), of, c.name)
}

// running identifies the containers in which the component runs now: it changes
// when a Pod is replaced or a container is started again. "" when none runs.
func (c *cluster) running(t *testing.T, of component) string {
	t.Helper()
	pods, err := c.pods(of)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, pod := range pods {
		if status := containerStatus(&pod, of.container); status != nil && status.State.Running != nil {
			found = append(found, fmt.Sprintf("%s/%s restarted %d times", pod.Name, status.ContainerID, status.RestartCount))
		}
	}
	return strings.Join(found, ", ")
}

// mustRun notes the containers in which components run. What it returns fails the test when others run by then.
func (c *cluster) mustRun(t *testing.T, components ...component) (on func()) {
	t.Helper()
	before := map[component]string{}
	for _, one := range components {
		if before[one] = c.running(t, one); before[one] == "" {
			t.Fatalf("%s of %s does not run", one, c.name)
		}
	}
	return func() {
		t.Helper()
		for one, former := range before {
			if now := c.running(t, one); now != former {
				t.Errorf("%s of %s was replaced or restarted: %s became %q", one, c.name, former, now)
			}
		}
	}
}

// awaitAnother waits until the component is ready in containers none of which the former ones are.
func (c *cluster) awaitAnother(t *testing.T, of component, former string) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("another container of %s is ready in %s", of, c.name), func() string {
		if now := c.running(t, of); now == "" || now == former {
			return fmt.Sprintf("now runs %q", now)
		}
		_, err := c.readyPod(of)
		return because(err)
	})
}

// because is what an error says, "" for none.
func because(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// scale the component's Deployment.
func (c *cluster) scale(t *testing.T, of component, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	err := retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() error {
		_, err := c.typed.AppsV1().Deployments(of.namespace).Patch(context.Background(), of.name, types.MergePatchType, patch, metav1.PatchOptions{}, "scale")
		return err
	})
	if err != nil {
		t.Fatalf("scale %s of %s: %v", of, c.name, err)
	}
}

// awaitScaled waits until as many replicas of the component are ready, and no other Pod of it is left.
func (c *cluster) awaitScaled(t *testing.T, of component, replicas int) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("%d replicas of %s run in %s", replicas, of, c.name), func() string { return c.unscaled(of, replicas) })
}

// unscaled is what is missing until as many replicas are ready, and no other Pod is left.
func (c *cluster) unscaled(of component, replicas int) (missing string) {
	pods, err := c.pods(of)
	if err != nil {
		return err.Error()
	}
	ready := 0
	for _, pod := range pods {
		if status := containerStatus(&pod, of.container); status != nil && status.Ready {
			ready++
		}
	}
	return unless(ready == replicas && len(pods) == replicas, "there are %d, of which %d are ready", len(pods), ready)
}

// stopOperator until resume is called, or the test ends.
func (c *cluster) stopOperator(t *testing.T) (resume func()) {
	t.Helper()
	stopped := true
	resume = func() {
		if stopped {
			stopped = false
			c.scale(t, operator, 1)
		}
	}
	t.Cleanup(resume)
	c.scale(t, operator, 0)
	c.awaitScaled(t, operator, 0)
	return resume
}

// logs that the component has written by now, of all its Pods.
func (c *cluster) logs(t *testing.T, of component) string {
	t.Helper()
	pods, err := c.pods(of)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, pod := range pods {
		stream, err := c.typed.CoreV1().Pods(of.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: of.container}).Stream(context.Background())
		if err != nil {
			t.Fatalf("read the log of %s: %v", pod.Name, err)
		}
		_, err = io.Copy(&all, stream)
		_ = stream.Close()
		if err != nil {
			t.Fatalf("read the log of %s: %v", pod.Name, err)
		}
	}
	return all.String()
}
