package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	// authnSecret in the operator's namespace keeps the keypair while the module is off.
	authnSecret = "istio-remote-authn-keypair"

	keypairPath = "istio.internal.remoteAuthnKeypair"
)

// remoteAuthnKeypair makes the Ed25519 keypair that signs this cluster's
// tokens for its neighbours, once, and keeps it.
func remoteAuthnKeypair() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "remote_authn_keypair",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 10},
			Kubernetes: []sdk.KubernetesConfig{
				secretBinding("kept", operatorNamespace, authnSecret),
				secretBinding("installed", v1alpha1.Namespace, "d8-remote-authn-keypair"),
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
	var kept authn.Keypair
	shown := len(in.Snapshots.Get("kept")) > 0
	for _, binding := range []string{"kept", "installed"} {
		data, err := secret(in, binding)
		if err != nil {
			return err
		}
		found := authn.Keypair{Priv: string(data["priv.pem"]), Pub: string(data["pub.pem"])}
		if binding == "kept" {
			kept = found
			// It goes before the values, which may hold one that was made when
			// the kept one was not to be seen yet.
			if kept.Validate() == nil {
				current = kept
			}
		}
		if current.Validate() != nil && found != (authn.Keypair{}) {
			current = found
		}
	}
	if err := current.Validate(); err != nil {
		if current != (authn.Keypair{}) {
			in.Logger.Error("the kept keypair is broken, a new one is made; neighbours learn it within a minute", "error", err.Error())
		}
		if current, err = authn.GenerateKeypair(); err != nil {
			return err
		}
	}
	if kept != current {
		keep(in, shown, authnSecret, map[string][]byte{
			"priv.pem": []byte(current.Priv),
			"pub.pem":  []byte(current.Pub),
		})
	}
	in.Values.Set(keypairPath, current)
	return nil
}
