package install

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
	"github.com/deckhouse-mesh/istio/deploy/operator"
	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	digestsConfigMap = "istio-operator-images"
	digestsDir       = "/etc/istio-operator/images"
	digestsFile      = "images_digests.json"

	// moduleConfigCRD is what the operator installs before all else.
	moduleConfigCRD = "moduleconfigs.deckhouse.io"
)

// Operator applies the operator's manifests and waits until it works.
func (c *Cluster) Operator(ctx context.Context, note Note) error {
	objects, err := c.operatorObjects()
	if err != nil {
		return err
	}
	if err := c.Clients.ApplyAll(ctx, objects); err != nil {
		return fmt.Errorf("install the operator: %w", err)
	}
	if err := c.awaitOperator(ctx, note); err != nil {
		return fmt.Errorf("install the operator: %w", err)
	}
	return nil
}

// operatorObjects are the manifests with what differs from cluster to cluster.
func (c *Cluster) operatorObjects() ([]map[string]any, error) {
	manifests, err := operator.Objects()
	if err != nil {
		return nil, err
	}
	var objects []map[string]any
	for _, object := range manifests {
		if object.GetKind() == "Deployment" {
			if len(c.ImagesDigests) > 0 {
				objects = append(objects, c.digests())
			}
			if err := c.customize(object); err != nil {
				return nil, fmt.Errorf("set the operator's image: %w", err)
			}
		}
		objects = append(objects, object.Object)
	}
	return objects, nil
}

// digests is a file of digests that takes the place of the one in the image.
func (c *Cluster) digests() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": operator.Namespace, "name": digestsConfigMap},
		"data":     map[string]any{digestsFile: string(c.ImagesDigests)},
	}
}

// customize gives the Deployment its image, arguments and digests.
func (c *Cluster) customize(deployment *unstructured.Unstructured) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, found, err := unstructured.NestedSlice(deployment.Object, path...)
	if err != nil || !found || len(containers) != 1 {
		return fmt.Errorf("the Deployment has no single container: %w", err)
	}
	container, _ := containers[0].(map[string]any)
	arguments, _ := container["args"].([]any)
	for _, argument := range c.Arguments {
		arguments = append(arguments, argument)
	}
	container["image"] = c.Image
	if len(c.ImagesDigests) > 0 {
		arguments = append(arguments, "--images-digests="+digestsDir+"/"+digestsFile)
		mounts, _ := container["volumeMounts"].([]any)
		container["volumeMounts"] = append(mounts, map[string]any{"name": "images", "mountPath": digestsDir, "readOnly": true})
		volumes, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "volumes")
		if err != nil {
			return err
		}
		volumes = append(volumes, map[string]any{"name": "images", "configMap": map[string]any{"name": digestsConfigMap}})
		if err := unstructured.SetNestedSlice(deployment.Object, volumes, "spec", "template", "spec", "volumes"); err != nil {
			return err
		}
	}
	container["args"] = arguments
	return unstructured.SetNestedSlice(deployment.Object, containers, path...)
}

func (c *Cluster) awaitOperator(ctx context.Context, note Note) error {
	if err := rollout.AwaitDeployment(ctx, c.Clients.Typed, operator.Namespace, operator.Name, stepTimeout, note); err != nil {
		return err
	}
	return await.Until(ctx, stepTimeout, func(ctx context.Context) (bool, string, error) { return c.established(ctx, moduleConfigCRD) })
}

// established says whether the API server serves the resource of a CRD.
func (c *Cluster) established(ctx context.Context, name string) (bool, string, error) {
	definition, err := c.Clients.Dynamic.Resource(kube.CRDs).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return await.NotYet(err)
	}
	condition, _ := kube.Condition(definition, "Established")
	return kube.String(condition, "status") == string(corev1.ConditionTrue), "CRD " + name + " is not established", nil
}
