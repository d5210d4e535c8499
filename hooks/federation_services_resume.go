package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// federationServicesResume lets federation_services run again when the module is
// switched on: before its first run, and before every release, since a module
// whose release could not be deleted has no first run when it is switched on again.
func federationServicesResume(services *residentServices) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "federation_services_resume",
		Config: sdk.HookConfig{
			OnStartup:    at(orderResume),
			OnBeforeHelm: at(orderFacts),
		},
		Run: func(context.Context, *sdk.HookInput) error {
			services.resume()
			return nil
		},
	}
}
