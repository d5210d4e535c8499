package hooks

import (
	tlscertificate "github.com/deckhouse/module-sdk/common-hooks/tls-certificate"
	sdk "github.com/deckhouse/module-sdk/pkg"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

func metadataExporterCertificate() hookruntime.Hook {
	return selfSigned("metadata_exporter_certificate", "metadata-exporter", "istio", "istio.internal.metadataExporterCertificate", allianceEnabled)
}

func apiProxyCertificate() hookruntime.Hook {
	return selfSigned("api_proxy_certificate", "api-proxy", "istio-api-proxy", "istio.internal.apiProxyCertificate", multiclusterKind().enabled)
}

// selfSigned is the hook that issues the certificate of a component's listener for the
// case that no public one can be mounted: the Ingress controller terminates TLS,
// or there is none. The component is reached by the name of its Service, and by
// publicName in the public domain.
func selfSigned(hook, component, publicName, valuesPath string, enabled func(*sdk.HookInput) bool) hookruntime.Hook {
	inCluster := component + "." + names.Namespace + ".svc"
	return certificateHook(hook, tlscertificate.GenSelfSignedTLSHookConf{
		CN:            component,
		TLSSecretName: component + "-tls",
		SANs: tlscertificate.DefaultSANs([]string{
			component,
			component + "." + names.Namespace,
			inCluster,
			tlscertificate.ClusterDomainSAN(inCluster),
			tlscertificate.PublicDomainSAN(publicName),
		}),
		Usages: []certificatesv1.KeyUsage{
			certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageServerAuth,
		},
		FullValuesPathPrefix: valuesPath,
		BeforeHookCheck:      enabled,
	})
}

// certificateHook issues a certificate in the module's namespace by an authority of its own.
func certificateHook(name string, conf tlscertificate.GenSelfSignedTLSHookConf) hookruntime.Hook {
	conf.Namespace = names.Namespace
	return hookruntime.Hook{
		Name:   name,
		Config: *tlscertificate.GenSelfSignedTLSConfig(conf),
		Run:    tlscertificate.GenSelfSignedTLS(conf),
	}
}
