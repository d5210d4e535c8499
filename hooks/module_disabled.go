package hooks

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// moduleDisabled tells in the status of people's resources that nothing acts
// on them any more. What the module created goes with its Helm release and
// namespace; the resources, their CRDs, the CA and the keypair stay.
func moduleDisabled() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "module_disabled",
		Config: sdk.HookConfig{OnAfterDeleteHelm: &sdk.OrderedConfig{Order: 10}},
		Run:    runModuleDisabled,
	}
}

func runModuleDisabled(ctx context.Context, in *sdk.HookInput) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	resources := client.Dynamic().Resource(schema.GroupVersionResource{
		Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource,
	})
	list, err := resources.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list IstioFederations: %w", err)
	}
	now := in.DC.GetClock().Now()
	for _, item := range list.Items {
		var resource v1alpha1.IstioFederation
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &resource); err != nil {
			return fmt.Errorf("decode IstioFederation %q: %w", item.GetName(), err)
		}
		status := discovery.Switched(resource, discovery.ReasonModuleDisabled,
			"The module is switched off: set spec.enabled to true in ModuleConfig istio.", now)
		if equality.Semantic.DeepEqual(resource.Status, status) {
			continue
		}
		patch, err := statusReplacement(resource, status)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(patch)
		if err != nil {
			return fmt.Errorf("encode the status of IstioFederation %q: %w", resource.Name, err)
		}
		if _, err := resources.Patch(ctx, resource.Name, types.JSONPatchType, encoded, metav1.PatchOptions{}, "status"); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("tell in the status of IstioFederation %q that the module is off: %w", resource.Name, err)
		}
	}
	return nil
}
