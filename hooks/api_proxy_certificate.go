package hooks

import (
	tlscertificate "github.com/deckhouse/module-sdk/common-hooks/tls-certificate"
	sdk "github.com/deckhouse/module-sdk/pkg"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// apiProxyCertificate issues the certificate of api-proxy's listener for the
// case that no public one can be mounted: the Ingress controller terminates
// TLS, or there is none.
func apiProxyCertificate() hookruntime.Hook {
	conf := tlscertificate.GenSelfSignedTLSHookConf{
		CN:            "api-proxy",
		Namespace:     v1alpha1.Namespace,
		TLSSecretName: "api-proxy-tls",
		SANs: tlscertificate.DefaultSANs([]string{
			"api-proxy",
			"api-proxy." + v1alpha1.Namespace,
			"api-proxy." + v1alpha1.Namespace + ".svc",
			tlscertificate.ClusterDomainSAN("api-proxy." + v1alpha1.Namespace + ".svc"),
			tlscertificate.PublicDomainSAN("istio-api-proxy"),
		}),
		Usages: []certificatesv1.KeyUsage{
			certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageServerAuth,
		},
		FullValuesPathPrefix: "istio.internal.apiProxyCertificate",
		BeforeHookCheck:      func(in *sdk.HookInput) bool { return in.Values.Get(multiclusterEnabledPath).Bool() },
	}
	return hookruntime.Hook{
		Name:   "api_proxy_certificate",
		Config: *tlscertificate.GenSelfSignedTLSConfig(conf),
		Run:    tlscertificate.GenSelfSignedTLS(conf),
	}
}
