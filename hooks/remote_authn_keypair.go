package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// authnSecret in the operator's namespace stores the keypair, also while the module is off.
	authnSecret = "istio-remote-authn-keypair"
)

var keypairPath = names.ValuesPath("internal.remoteAuthnKeypair")

// remoteAuthnKeypair makes the Ed25519 keypair that signs this cluster's
// tokens for its peers, once, and stores it.
func remoteAuthnKeypair() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "remote_authn_keypair",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderFacts),
			Kubernetes: []sdk.KubernetesConfig{
				secretBinding("stored", names.OperatorNamespace, authnSecret),
				secretBinding("installed", names.Namespace, "d8-remote-authn-keypair"),
			},
		},
		Run: runRemoteAuthnKeypair,
	}
}

func runRemoteAuthnKeypair(_ context.Context, in *sdk.HookInput) error {
	var current authn.Keypair
	if err := settings(in, keypairPath, &current); err != nil {
		return err
	}
	var stored authn.Keypair
	inSnapshot := len(in.Snapshots.Get("stored")) > 0
	for _, binding := range []string{"stored", "installed"} {
		data, err := secret(in, binding)
		if err != nil {
			return err
		}
		found := authn.Keypair{Priv: string(data["priv.pem"]), Pub: string(data["pub.pem"])}
		if binding == "stored" {
			stored = found
			// It has precedence over the values, which may hold a keypair that was made
			// before the snapshot had the stored one.
			if stored.Validate() == nil {
				current = stored
			}
		}
		if current.Validate() != nil && found != (authn.Keypair{}) {
			current = found
		}
	}
	if err := current.Validate(); err != nil {
		if current != (authn.Keypair{}) {
			in.Logger.Error("the stored keypair is invalid, a new one is made; peers learn it within a minute", "error", err.Error())
		}
		if current, err = authn.GenerateKeypair(); err != nil {
			return err
		}
	}
	if stored != current {
		storeSecret(in, inSnapshot, authnSecret, secretData{
			"priv.pem": []byte(current.Priv),
			"pub.pem":  []byte(current.Pub),
		})
	}
	in.Values.Set(keypairPath, current)
	return nil
}
