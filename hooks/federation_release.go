package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// federationServicesEnd stops the upkeep of ServiceEntries before the module's
// release and with it their namespace is deleted: what goes from now on is not
// put back. Where there is no release any more, only the second binding runs.
func federationServicesEnd(services *residentServices) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "federation_services_end",
		Config: sdk.HookConfig{
			OnBeforeDeleteHelm: &sdk.OrderedConfig{Order: 10},
			OnAfterDeleteHelm:  &sdk.OrderedConfig{Order: 10},
		},
		Run: func(context.Context, *sdk.HookInput) error {
			services.end()
			return nil
		},
	}
}

// federationServicesResume lets federation_services run again when the module is
// switched on: before its first run, and before every release, since a module
// whose release could not be deleted has no first run when it is switched on again.
func federationServicesResume(services *residentServices) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "federation_services_resume",
		Config: sdk.HookConfig{
			OnStartup:    &sdk.OrderedConfig{Order: 10},
			OnBeforeHelm: &sdk.OrderedConfig{Order: 10},
		},
		Run: func(context.Context, *sdk.HookInput) error {
			services.resume()
			return nil
		},
	}
}
