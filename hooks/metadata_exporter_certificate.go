package hooks

import (
	tlscertificate "github.com/deckhouse/module-sdk/common-hooks/tls-certificate"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// metadataExporterCertificate issues the certificate of metadata-exporter's
// listener for the case that no public one can be mounted: the Ingress
// controller terminates TLS, or there is none.
func metadataExporterCertificate() hookruntime.Hook {
	conf := tlscertificate.GenSelfSignedTLSHookConf{
		CN:            "metadata-exporter",
		Namespace:     v1alpha1.Namespace,
		TLSSecretName: "metadata-exporter-tls",
		SANs: tlscertificate.DefaultSANs([]string{
			"metadata-exporter",
			"metadata-exporter." + v1alpha1.Namespace,
			"metadata-exporter." + v1alpha1.Namespace + ".svc",
			tlscertificate.ClusterDomainSAN("metadata-exporter." + v1alpha1.Namespace + ".svc"),
			tlscertificate.PublicDomainSAN("istio"),
		}),
		Usages: []certificatesv1.KeyUsage{
			certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageServerAuth,
		},
		FullValuesPathPrefix: "istio.internal.metadataExporterCertificate",
		BeforeHookCheck:      allianceEnabled,
	}
	return hookruntime.Hook{
		Name:   "metadata_exporter_certificate",
		Config: *tlscertificate.GenSelfSignedTLSConfig(conf),
		Run:    tlscertificate.GenSelfSignedTLS(conf),
	}
}
