package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// webhookWithdrawal deletes the webhooks before the module is switched off.
// Helm deletes them last, after istiod, and in the meantime they would reject
// every Pod of people's namespaces. drift_repair restores nothing from now on.
func webhookWithdrawal() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "webhook_withdrawal",
		Config: sdk.HookConfig{OnBeforeDeleteHelm: at(orderDeletion)},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			recordRendered(in, nil)
			client, err := in.DC.GetK8sClient()
			if err != nil {
				return err
			}
			kinds, err := deletable(in, webhookOrphans()) // which are in no namespace
			if err != nil {
				return err
			}
			_, err = deleteAll(ctx, client.Dynamic(), kinds, nil)
			return err
		},
	}
}
