package hooks

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// meshConfigurationsBinding subscribes to the mesh configurations of all revisions: a Helm run that began before
// trust was withdrawn may write it back. Other ConfigMaps of istiod have an empty one.
func meshConfigurationsBinding() sdk.KubernetesConfig {
	labels := names.ModuleLabels()
	labels["app"] = "istiod"
	return inModuleNamespace(sdk.KubernetesConfig{
		Name:          "mesh-configurations",
		APIVersion:    "v1",
		Kind:          "ConfigMap",
		LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
		JqFilter: `{
			name: .metadata.name,
			resourceVersion: .metadata.resourceVersion,
			mesh: (.data.mesh // ""),
			withdrawn: (.metadata.annotations["` + withdrawnAnnotation + `"] // "")
		}`,
	})
}

// writeMeshConfiguration replaces the configuration unless it has been written since the snapshot. It does not go through
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
