package hooks

import (
	"context"
	"crypto/tls"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// clientCertificateSecret is what the templates render from the values.
	clientCertificateSecret = "d8-remote-client-certificate"

	clientCertificateMetric = "d8_istio_client_certificate_refused"
)

var clientCertificatePath = names.ValuesPath("internal.clientCertificate")

// clientCertificate issues the certificate that proves this cluster's identity to its
// peers, besides the token: by the CA of the mesh, for days. It is renewed
// at two thirds of its life, and when the CA has changed; the former certificate
// is valid until it expires, so it may still be in use. A new process finds
// the certificate in the Secret that the module rendered.
func clientCertificate() hookruntime.Hook {
	// The Secret follows from the values.
	rendered := withoutEvents(secretBinding("rendered", names.Namespace, clientCertificateSecret))
	return hookruntime.Hook{
		Name: "client_certificate",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderClientCertificate),
			Schedule:     []sdk.ScheduleConfig{{Name: "hourly", Crontab: "23 * * * *"}},
			Kubernetes:   []sdk.KubernetesConfig{rendered},
		},
		Run: runClientCertificate,
	}
}

func runClientCertificate(_ context.Context, in *sdk.HookInput) error {
	var failure error
	defer func() { in.MetricsCollector.Set(clientCertificateMetric, gauge(failure != nil), nil) }()
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
	certificate, failure := clientcert.Renew(current, issuer, in.DC.GetClock().Now())
	if failure != nil {
		// The token is enough; the next hour tries again.
		in.Logger.Error("cannot issue a new client certificate, peers get the token alone: check the settings ca.*", "error", failure.Error())
	}
	if certificate.IsZero() {
		in.Values.Remove(clientCertificatePath)
		return nil
	}
	if certificate != current {
		in.Logger.Info("issued a client certificate")
	}
	in.Values.Set(clientCertificatePath, certificate)
	return nil
}

// currentClientCertificate is that of the values, else the rendered one.
func currentClientCertificate(in *sdk.HookInput) (clientcert.Certificate, error) {
	var current clientcert.Certificate
	if err := settings(in, clientCertificatePath, &current); err != nil || !current.IsZero() {
		return current, err
	}
	data, err := secret(in, "rendered")
	return clientcert.Certificate{Crt: string(data["tls.crt"]), Key: string(data["tls.key"])}, err
}

// peerClient sends requests to peers, with its certificate to those that request one; *peer.Client is one.
type peerClient interface {
	discovery.Getter
	Present(certificate *tls.Certificate)
}

// presentClientCertificate gives client the certificate in the values, if there is one that can be read.
func presentClientCertificate(in *sdk.HookInput, client peerClient) error {
	var certificate clientcert.Certificate
	if err := settings(in, clientCertificatePath, &certificate); err != nil {
		return err
	}
	pair, err := certificate.KeyPair()
	if err != nil {
		pair = nil // hook client_certificate reports why
	}
	client.Present(pair)
	return nil
}
