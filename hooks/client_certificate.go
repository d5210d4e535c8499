package hooks

import (
	"context"
	"crypto/tls"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	// clientCertificateSecret is what the templates render from the values.
	clientCertificateSecret = "d8-remote-client-certificate"

	clientCertificatePath   = "istio.internal.clientCertificate"
	clientCertificateMetric = "d8_istio_client_certificate_refused"
)

// clientCertificate issues the certificate that proves this cluster to its
// neighbours, besides the token: by the CA of the mesh, for days. It is renewed
// at two thirds of its life, and when the CA has become another; the former one
// is good until its end, so whoever still uses it is let in. A new process finds
// it in the Secret that the module rendered.
func clientCertificate() hookruntime.Hook {
	rendered := secretBinding("rendered", v1alpha1.Namespace, clientCertificateSecret)
	// It follows from the values, hence no reason to run.
	rendered.ExecuteHookOnEvents, rendered.ExecuteHookOnSynchronization = &no, &no
	return hookruntime.Hook{
		Name: "client_certificate",
		Config: sdk.HookConfig{
			// After the hook ca.
			OnBeforeHelm: &sdk.OrderedConfig{Order: 15},
			Schedule:     []sdk.ScheduleConfig{{Name: "hourly", Crontab: "23 * * * *"}},
			Kubernetes:   []sdk.KubernetesConfig{rendered},
		},
		Run: runClientCertificate,
	}
}

func runClientCertificate(_ context.Context, in *sdk.HookInput) error {
	// Set in every run: module-sdk does not expire groups.
	refused := 0.0
	defer func() { in.MetricsCollector.Set(clientCertificateMetric, refused, nil) }()
	if !allianceEnabled(in) {
		in.Values.Remove(clientCertificatePath)
		return nil
	}
	var issuer clientcert.Issuer
	if err := settings(in, caPath, &issuer); err != nil {
		return err
	}
	if issuer.Cert == "" {
		return nil // the schedule came before the first run of hook ca
	}
	current, err := currentClientCertificate(in)
	if err != nil {
		return err
	}
	certificate, err := clientcert.Renew(current, issuer, in.DC.GetClock().Now())
	if err != nil {
		// The token does without; the next hour tries again.
		refused = 1
		in.Logger.Error("there is no new client certificate for neighbours, the token alone will do; look at the settings ca.*", "error", err.Error())
	}
	if certificate.IsZero() {
		in.Values.Remove(clientCertificatePath)
		return nil
	}
	if certificate != current {
		in.Logger.Info("a client certificate was issued")
	}
	in.Values.Set(clientCertificatePath, certificate)
	return nil
}

// currentClientCertificate is that of the values, else the one that was rendered.
func currentClientCertificate(in *sdk.HookInput) (clientcert.Certificate, error) {
	var current clientcert.Certificate
	if err := settings(in, clientCertificatePath, &current); err != nil || !current.IsZero() {
		return current, err
	}
	data, err := secret(in, "rendered")
	return clientcert.Certificate{Crt: string(data["tls.crt"]), Key: string(data["tls.key"])}, err
}

// peerClient asks peers, and shows its certificate to those that ask for one; *peer.Client is one.
type peerClient interface {
	discovery.Getter
	Present(certificate *tls.Certificate)
}

// presentClientCertificate makes client show the certificate in the values, if there is one that can be read.
func presentClientCertificate(in *sdk.HookInput, client peerClient) error {
	var certificate clientcert.Certificate
	if err := settings(in, clientCertificatePath, &certificate); err != nil {
		return err
	}
	pair, err := certificate.KeyPair()
	if err != nil {
		pair = nil // there is none; hook client_certificate says why
	}
	client.Present(pair)
	return nil
}
