package hooks

import (
	tlscertificate "github.com/deckhouse/module-sdk/common-hooks/tls-certificate"
	sdk "github.com/deckhouse/module-sdk/pkg"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// clientCertificatesPath is how peers' client certificates reach metadata-exporter.
var clientCertificatesPath = names.ValuesPath("alliance.metadataEndpoint.clientCertificates")

// ingressClientCertificate issues the certificate with which the ingress
// controller proves itself to metadata-exporter, which then trusts its header
// ssl-client-cert. Its authority signs this one certificate, and the authority's key
// is not stored: nothing else can prove to be the ingress controller.
func ingressClientCertificate() hookruntime.Hook {
	return certificateHook("ingress_client_certificate", tlscertificate.GenSelfSignedTLSHookConf{
		CN:                   "metadata-exporter-ingress",
		TLSSecretName:        "metadata-exporter-ingress-client",
		SANs:                 func(*sdk.HookInput) []string { return nil },
		Usages:               []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		FullValuesPathPrefix: names.ValuesPath("internal.ingressClientCertificate"),
		BeforeHookCheck: func(in *sdk.HookInput) bool {
			return allianceEnabled(in) && in.Values.Get(clientCertificatesPath).String() == "Header"
		},
	})
}
