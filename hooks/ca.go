package hooks

import (
	"context"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	// caSecret in the operator's namespace keeps the CA while the module is off.
	caSecret = "istio-ca"

	caPath             = "istio.internal.ca"
	caSettingsPath     = "istio.ca"
	caRefusedMetric    = "d8_istio_ca_setting_refused"
	caRefusedEventName = "CARefused"
)

// certificateAuthority decides on the mesh's CA: settings ca.*, else the one
// in use, else a new one. Secret cacerts of the contract is rendered from it.
func certificateAuthority() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ca",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 10},
			Kubernetes: []sdk.KubernetesConfig{
				secretBinding("kept", operatorNamespace, caSecret),
				secretBinding("installed", v1alpha1.Namespace, "cacerts"),
			},
		},
		Run: runCertificateAuthority,
	}
}

func runCertificateAuthority(_ context.Context, in *sdk.HookInput) error {
	var configured ca.Bundle
	if err := settings(in, caSettingsPath, &configured); err != nil {
		return err
	}
	kept, current, err := currentCA(in)
	if err != nil {
		return err
	}
	shown := len(in.Snapshots.Get("kept")) > 0
	this, err := self(in)
	if err != nil {
		return err
	}
	choice, err := ca.Choose(configured, current, this.TrustDomain, in.DC.GetClock().Now())
	if err != nil {
		return err
	}

	// Set in every run: module-sdk does not expire groups.
	refused := 0.0
	if choice.Refused != nil {
		refused = 1
		in.Logger.Error("the CA of the settings is refused, the one in use stays", "error", choice.Refused.Error())
		in.PatchCollector.CreateIfNotExists(moduleConfigEvent(caRefusedEventName,
			fmt.Sprintf("settings refused, the CA in use stays: %v", choice.Refused), in.DC.GetClock().Now()))
	}
	in.MetricsCollector.Set(caRefusedMetric, refused, nil)
	if choice.Generated {
		in.Logger.Info("a CA was generated", "trustDomain", this.TrustDomain)
	}
	if kept != choice.Bundle {
		keep(in, shown, caSecret, caSecretData(choice.Bundle))
	}
	in.Values.Set(caPath, choice.Bundle)
	return nil
}

// currentCA returns what the kept Secret holds, and the CA in use: from the kept
// Secret, from the values, or from a Secret cacerts that was there before this
// module was. The kept one goes before the values, which may hold one that was
// generated when the kept one was not to be seen yet; but one that is not sound
// displaces nothing.
func currentCA(in *sdk.HookInput) (kept, current ca.Bundle, err error) {
	keptData, err := secret(in, "kept")
	if err != nil {
		return kept, current, err
	}
	installedData, err := secret(in, "installed")
	if err != nil {
		return kept, current, err
	}
	kept = caFromSecret(keptData)
	if err := settings(in, caPath, &current); err != nil {
		return kept, current, err
	}
	if kept.Check(in.DC.GetClock().Now()) == nil {
		current = kept
	}
	for _, candidate := range []ca.Bundle{kept, caFromSecret(installedData)} {
		if current.Cert == "" || current.Key == "" {
			current = candidate
		}
	}
	return kept, current, nil
}

// caFromSecret reads the keys that istiod expects in a Secret cacerts.
func caFromSecret(data secretData) ca.Bundle {
	return ca.Bundle{
		Cert:  string(data["ca-cert.pem"]),
		Key:   string(data["ca-key.pem"]),
		Chain: string(data["cert-chain.pem"]),
		Root:  string(data["root-cert.pem"]),
	}
}

func caSecretData(bundle ca.Bundle) map[string][]byte {
	return map[string][]byte{
		"ca-cert.pem":    []byte(bundle.Cert),
		"ca-key.pem":     []byte(bundle.Key),
		"cert-chain.pem": []byte(bundle.Chain),
		"root-cert.pem":  []byte(bundle.Root),
	}
}
