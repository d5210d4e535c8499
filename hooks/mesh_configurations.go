package hooks

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// meshConfiguration is a ConfigMap that an istiod reads.
type meshConfiguration struct {
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion"`
	Mesh            string `json:"mesh"`
	Withdrawn       string `json:"withdrawn"`
}

// ofIstiod are the labels of the module's objects that belong to istiod.
func ofIstiod() map[string]string {
	labels := names.ModuleLabels()
	labels["app"] = "istiod"
	return labels
}

// meshConfigurationsBinding subscribes to the mesh configurations of all revisions: a Helm run that began before
// trust was withdrawn may write it back. Other ConfigMaps of istiod have an empty one.
func meshConfigurationsBinding() sdk.KubernetesConfig {
	return inModuleNamespace(sdk.KubernetesConfig{
		Name:          "mesh-configurations",
		APIVersion:    "v1",
		Kind:          "ConfigMap",
		LabelSelector: &metav1.LabelSelector{MatchLabels: ofIstiod()},
		JqFilter: `{
			name: .metadata.name,
			resourceVersion: .metadata.resourceVersion,
			mesh: (.data.mesh // ""),
			withdrawn: (.metadata.annotations["` + withdrawnAnnotation + `"] // "")
		}`,
	})
}

// readMeshConfigurations asks the API server for what meshConfigurationsBinding has in a snapshot.
func readMeshConfigurations(ctx context.Context, in *sdk.HookInput) ([]meshConfiguration, error) {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return nil, err
	}
	list, err := client.Dynamic().Resource(configMapResource).Namespace(names.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: ofIstiod()}),
	})
	if err != nil {
		return nil, fmt.Errorf("list the mesh configurations: %w", err)
	}
	configurations := make([]meshConfiguration, len(list.Items))
	for index, object := range list.Items {
		mesh, _, _ := unstructured.NestedString(object.Object, "data", "mesh") // the API server accepts nothing but strings
		configurations[index] = meshConfiguration{Name: object.GetName(), ResourceVersion: object.GetResourceVersion(), Mesh: mesh}
	}
	return configurations, nil
}

// writeMeshConfiguration replaces the configuration unless it has been written since it was read. It does not go through
// the PatchCollector, where a conflict would fail the run.
func writeMeshConfiguration(ctx context.Context, in *sdk.HookInput, configuration meshConfiguration, mesh, manager string, annotations map[string]string) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	metadata := map[string]any{"resourceVersion": configuration.ResourceVersion}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata, "data": map[string]string{"mesh": mesh}})
	if err != nil {
		return fmt.Errorf("encode the patch of ConfigMap %s: %w", configuration.Name, err)
	}
	_, err = client.Dynamic().Resource(configMapResource).Namespace(names.Namespace).Patch(ctx, configuration.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: manager})
	return err
}
