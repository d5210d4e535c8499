package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// webhookWithdrawal takes the webhooks away before the module is switched off.
// Helm deletes them last, after istiod, and in the meantime they would refuse
// every Pod of people's namespaces. What is deleted from now on is not missed.
func webhookWithdrawal() hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "webhook_withdrawal",
		Config: sdk.HookConfig{OnBeforeDeleteHelm: &sdk.OrderedConfig{Order: 10}},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			noteRendered(in, nil)
			client, err := in.DC.GetK8sClient()
			if err != nil {
				return err
			}
			_, err = deleteAll(ctx, client.Dynamic(), webhookOrphans())
			return err
		},
	}
}
