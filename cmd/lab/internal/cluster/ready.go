package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	// apiTimeout and nodesTimeout bound the waits at the start; a loaded two-core machine needs a fraction of them.
	apiTimeout   = 3 * time.Minute
	nodesTimeout = 3 * time.Minute
)

// Start the nodes, and wait until all of them are Ready.
func (c *Cluster) Start(ctx context.Context) error {
	name, first := c.options.Plan.Name, c.nodes[0]
	err := c.options.Reporter.Step(name, "API server ready", first.spec.Log("kube-apiserver"), func(func(string)) error {
		if err := c.startNodes(); err != nil {
			return err
		}
		return c.awaitAPI(ctx)
	})
	if err != nil {
		return err
	}
	return c.options.Reporter.Step(name, fmt.Sprintf("%d of %d nodes Ready", len(c.nodes), len(c.nodes)), first.spec.Log("kubelet"), func(func(string)) error {
		all, ctx := errgroup.WithContext(ctx)
		for _, m := range c.nodes {
			all.Go(func() error {
				if err := c.register(ctx, m); err != nil {
					return err
				}
				return c.awaitReady(ctx, m)
			})
		}
		return all.Wait()
	})
}

func (c *Cluster) awaitAPI(ctx context.Context) error {
	return await.Until(ctx, apiTimeout, func(ctx context.Context) (bool, string, error) {
		if err := c.lost(); err != nil {
			return false, "", err
		}
		_, err := c.clients.Typed.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err != nil {
			return await.NotYet(err)
		}
		return true, "", nil
	})
}

// lost says which node ended that was started, and why.
func (c *Cluster) lost() error {
	for _, m := range c.nodes {
		if m.running() == nil {
			return fmt.Errorf("node %s ended: see %s", m.plan.Name, m.spec.Log("node"))
		}
	}
	return nil
}

// register the node with its range of Pods, before kubelet does without one:
// the ranges are planned, not allocated.
func (c *Cluster) register(ctx context.Context, m *member) error {
	nodes := c.clients.Typed.CoreV1().Nodes()
	pods := m.plan.Pods.String()
	_, err := nodes.Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: m.plan.Name},
		Spec:       corev1.NodeSpec{PodCIDR: pods, PodCIDRs: []string{pods}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		patch := fmt.Appendf(nil, `{"spec": {"podCIDR": %q, "podCIDRs": [%q]}}`, pods, pods)
		_, err = nodes.Patch(ctx, m.plan.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("register node %s: %w", m.plan.Name, err)
	}
	return nil
}

func (c *Cluster) awaitReady(ctx context.Context, m *member) error {
	err := await.Until(ctx, nodesTimeout, func(ctx context.Context) (bool, string, error) {
		if m.running() == nil {
			return false, "", errors.New("it ended")
		}
		object, err := c.clients.Typed.CoreV1().Nodes().Get(ctx, m.plan.Name, metav1.GetOptions{})
		if err != nil {
			return await.NotYet(err)
		}
		ready, why := isReady(object)
		return ready, why, nil
	})
	if err != nil {
		return fmt.Errorf("node %s is not Ready: %w; its logs are in %s", m.plan.Name, err, m.spec.LogFolder())
	}
	return nil
}

// isReady reads the node's Ready condition; why is its message.
func isReady(object *corev1.Node) (ready bool, why string) {
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue, condition.Message
		}
	}
	return false, "kubelet has not reported yet"
}
