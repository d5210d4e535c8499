package hooks

import (
	"context"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/embedded"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// embeddedIstio keeps a module with a second name from starting before the
// embedded istio has been removed: Helm would take over objects that are about to
// be deleted with it. It is the first hook; addon-operator tries again, and the
// status of the Module says why. While the embedded one is on no hook runs at all:
// hooks/enabled answers for that.
func embeddedIstio() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "embedded_istio",
		Config: sdk.HookConfig{OnStartup: at(orderEmbedded)},
		Run:    runEmbeddedIstio,
	}
}

func runEmbeddedIstio(ctx context.Context, in *sdk.HookInput) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	namespaces := client.Dynamic().Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	namespace, err := namespaces.Get(ctx, names.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read namespace %s to see whether it is the embedded istio's: %w", names.Namespace, err)
	}
	if namespace.GetLabels()[names.ModuleLabel] != names.Embedded {
		return nil
	}
	return fmt.Errorf("namespace %s is still the embedded istio's: waiting until Deckhouse has deleted it; `kubectl get namespace %s -o yaml` says what it waits for",
		names.Namespace, names.Namespace)
}

// yields is true in a module with a second name while the embedded istio is on.
func yields(in *sdk.HookInput) (bool, error) {
	var enabled []string
	if err := settings(in, enabledModulesPath, &enabled); err != nil {
		return false, err
	}
	return embedded.Yields(names.Module(), enabled), nil
}
