package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

// registrySecretsAfterHelm does the same for new settings, and for the Secrets of former
// releases, which Helm deletes. It is a hook of its own because addon-operator applies the
// limit to every run of a hook, and waits for those after Helm in queue main.
func registrySecretsAfterHelm(retry *registrysecret.Retry) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "registry_secrets_after_helm",
		Config: sdk.HookConfig{
			OnAfterHelm: at(orderReleased),
			Kubernetes:  []sdk.KubernetesConfig{withoutEvents(registrySecretsBinding())},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error { return runRegistrySecrets(ctx, in, retry) },
	}
}
