package demo

import (
	"context"
	"embed"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
)

// publishLabel on a Service publishes it to federated clusters.
const publishLabel = "federation.istio.deckhouse.io/public-service"

//go:embed manifests
var manifests embed.FS

// cluster that takes part in a demonstration.
type cluster struct {
	Name, Domain string
	kubeconfig   string
	clients      *kube.Clients
	pods         pods
}

// apply the named manifests for calls of host.
func (c *cluster) apply(ctx context.Context, host string, names ...string) error {
	for _, name := range names {
		objects, err := render(name, struct{ Name, Host string }{c.Name, host})
		if err != nil {
			return err
		}
		if err := c.clients.ApplyAll(ctx, objects); err != nil {
			return err
		}
	}
	return nil
}

func render(name string, values any) ([]map[string]any, error) {
	text, err := manifests.ReadFile("manifests/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	return kube.Render(name, string(text), values)
}

// awaitRollout waits for the Deployment of a manifest, which has its name.
func (c *cluster) awaitRollout(ctx context.Context, name string) error {
	in := namespace
	if name == "stranger" {
		in = name
	}
	return rollout.AwaitDeployment(ctx, c.clients.Typed, in, name, startTimeout, func(string) {})
}

// publish the Service, or unpublish it.
func (c *cluster) publish(ctx context.Context, public bool) error {
	value := "null"
	if public {
		value = `""`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, publishLabel, value)
	_, err := c.clients.Dynamic.Resource(kube.Services).Namespace(namespace).Patch(ctx, service, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("label Service %s/%s: %w", namespace, service, err)
	}
	return nil
}

// scale the Deployment of the Service.
func (c *cluster) scale(ctx context.Context, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := c.clients.Typed.AppsV1().Deployments(namespace).Patch(ctx, service, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("scale Deployment %s/%s: %w", namespace, service, err)
	}
	return nil
}

// peer is the resource by which the cluster knows another, without what only the API server writes.
func (c *cluster) peer(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	found, err := c.clients.Dynamic.Resource(kube.IstioFederations).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read IstioFederation %s: %w", name, err)
	}
	clean := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": found.GetAPIVersion(), "kind": found.GetKind(),
		"metadata": map[string]any{"name": name}, "spec": found.Object["spec"],
	}}
	return clean, nil
}

func (c *cluster) forget(ctx context.Context, peer string) error {
	if err := c.clients.Dynamic.Resource(kube.IstioFederations).Delete(ctx, peer, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete IstioFederation %s: %w", peer, err)
	}
	return nil
}

func (c *cluster) remember(ctx context.Context, peer *unstructured.Unstructured) error {
	if _, err := c.clients.Dynamic.Resource(kube.IstioFederations).Create(ctx, peer, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create IstioFederation %s again: %w", peer.GetName(), err)
	}
	return nil
}

// publishNothing takes the label off that an earlier demonstration left.
func (c *cluster) publishNothing(ctx context.Context) error {
	err := c.publish(ctx, false)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
