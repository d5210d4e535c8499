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
	"k8s.io/client-go/dynamic"

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
	const message = "The module is switched off: set spec.enabled to true in ModuleConfig istio."
	now := in.DC.GetClock().Now()
	err = tellAll(ctx, client.Dynamic(), v1alpha1.IstioFederationKind, v1alpha1.IstioFederationResource,
		func(resource v1alpha1.IstioFederation) (from, to any) {
			return resource.Status, discovery.Switched(resource, discovery.ReasonModuleDisabled, message, now)
		})
	if err != nil {
		return err
	}
	return tellAll(ctx, client.Dynamic(), v1alpha1.IstioMulticlusterKind, v1alpha1.IstioMulticlusterResource,
		func(resource v1alpha1.IstioMulticluster) (from, to any) {
			return resource.Status, discovery.SwitchedMulticluster(resource, discovery.ReasonModuleDisabled, message, now)
		})
}

// tellAll writes into every resource of a kind the status that change wants.
func tellAll[T any](ctx context.Context, client dynamic.Interface, kind, plural string, change func(T) (from, to any)) error {
	resources := client.Resource(schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: plural})
	list, err := resources.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list resources of kind %s: %w", kind, err)
	}
	for _, item := range list.Items {
		var resource T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &resource); err != nil {
			return fmt.Errorf("decode %s %q: %w", kind, item.GetName(), err)
		}
		from, to := change(resource)
		if equality.Semantic.DeepEqual(from, to) {
			continue
		}
		patch, err := statusOf{kind: kind, name: item.GetName(), uid: item.GetUID()}.replacement(to)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(patch)
		if err != nil {
			return fmt.Errorf("encode the status of %s %q: %w", kind, item.GetName(), err)
		}
		if _, err := resources.Patch(ctx, item.GetName(), types.JSONPatchType, encoded, metav1.PatchOptions{}, "status"); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("tell in the status of %s %q that the module is off: %w", kind, item.GetName(), err)
		}
	}
	return nil
}
