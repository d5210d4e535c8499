package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// federationServicesEnd stops the syncer of ServiceEntries before the module's
// release, and with it their namespace, is deleted: what is deleted from now on is not
// created again. Where no release exists, only the second binding runs.
func federationServicesEnd(services *residentServices) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "federation_services_end",
		Config: sdk.HookConfig{
			OnBeforeDeleteHelm: at(orderDeletion),
			OnAfterDeleteHelm:  at(orderDeletion),
		},
		Run: func(context.Context, *sdk.HookInput) error {
			services.end()
			return nil
		},
	}
}
