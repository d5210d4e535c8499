package hooks

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/embedded"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// moduleDisabled reports in the status of the resources for peers that nothing acts
// on them any more. What the module created is deleted with its Helm release and
// namespace; these resources, their CRDs, the CA and the keypair are retained.
func moduleDisabled() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "module_disabled",
		Config: sdk.HookConfig{OnAfterDeleteHelm: at(orderDeletion)},
		Run:    runModuleDisabled,
	}
}

func runModuleDisabled(ctx context.Context, in *sdk.HookInput) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	yielding, err := yields(in)
	if err != nil {
		return err
	}
	message := "The module is switched off: set spec.enabled to true in ModuleConfig " + names.Module() + "."
	if yielding {
		message = "The module is off: " + embedded.Reason(names.Module()) + "."
	}
	disabled := func(resource v1alpha1.Peer) v1alpha1.Peer {
		return discovery.Disabled(resource, discovery.ReasonModuleDisabled, message, in.DC.GetClock().Now())
	}
	writer := statusWriter{in: in, client: client.Dynamic()}
	return errors.Join(
		changeStatuses(ctx, writer, func() v1alpha1.Peer { return &v1alpha1.IstioFederation{} }, disabled),
		changeStatuses(ctx, writer, func() v1alpha1.Peer { return &v1alpha1.IstioMulticluster{} }, disabled),
	)
}

// changeStatuses gives every resource of the kind of empty the status that change returns.
func changeStatuses(ctx context.Context, writer statusWriter, empty func() v1alpha1.Peer, change func(v1alpha1.Peer) v1alpha1.Peer) error {
	list, err := writer.resources(empty()).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list resources of kind %s: %w", empty().PeerKind(), err)
	}
	for _, item := range list.Items {
		resource := empty()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, resource); err != nil {
			return fmt.Errorf("decode %s %q: %w", resource.PeerKind(), item.GetName(), err)
		}
		changed := change(resource)
		if equality.Semantic.DeepEqual(resource.WholeStatus(), changed.WholeStatus()) {
			continue
		}
		patch, err := statusReplacement(changed, changed.WholeStatus())
		if err == nil {
			err = writer.patch(ctx, changed, types.JSONPatchType, patch)
		}
		if err != nil {
			return fmt.Errorf("report in the status of %s %q that the module is off: %w", resource.PeerKind(), item.GetName(), err)
		}
	}
	return nil
}
