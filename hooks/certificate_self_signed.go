package hooks

import (
	tlscertificate "github.com/deckhouse/module-sdk/common-hooks/tls-certificate"
	sdk "github.com/deckhouse/module-sdk/pkg"
	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/deckhouse-mesh/istio/lib/certs"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

func metadataExporterCertificate() hookruntime.Hook {
	return selfSigned("metadata_exporter_certificate", "metadata-exporter", names.ValuesPath("internal.metadataExporterCertificate"), allianceEnabled, "istio", "istio-metadata")
}

func apiProxyCertificate() hookruntime.Hook {
	return selfSigned("api_proxy_certificate", "api-proxy", names.ValuesPath("internal.apiProxyCertificate"), multiclusterKind().enabled, "istio-api-proxy")
}

// selfSigned is the hook that issues the certificate of a component's listener for the
// case that no public one can be mounted: the Ingress controller terminates TLS,
// or there is none. The component is reached by the name of its Service, and by
// publicNames in the public domain.
func selfSigned(hook, component, valuesPath string, enabled func(*sdk.HookInput) bool, publicNames ...string) hookruntime.Hook {
	return certificateHook(hook, tlscertificate.GenSelfSignedTLSHookConf{
		CN:            component,
		TLSSecretName: component + "-tls",
		SANs:          retainingOlderNames(listenerNames(component, publicNames...), listenerNames(component, publicNames[0])),
		Usages: []certificatesv1.KeyUsage{
			certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageServerAuth,
		},
		FullValuesPathPrefix: valuesPath,
		BeforeHookCheck:      enabled,
	})
}

func listenerNames(component string, publicNames ...string) tlscertificate.SANsGenerator {
	inCluster := component + "." + names.Namespace + ".svc"
	all := []string{component, component + "." + names.Namespace, inCluster, tlscertificate.ClusterDomainSAN(inCluster)}
	for _, name := range publicNames {
		all = append(all, tlscertificate.PublicDomainSAN(name))
	}
	return tlscertificate.DefaultSANs(all)
}

// retainingOlderNames asks for the wanted names, unless the certificate in use has
// the older ones: other names make the library issue a new authority, too, and
// peers that were given the old one in spec.metadata.ca would trust this cluster no longer.
func retainingOlderNames(wanted, older tlscertificate.SANsGenerator) tlscertificate.SANsGenerator {
	return func(in *sdk.HookInput) []string {
		inUse, err := snapshot[struct {
			Certificate []byte `json:"crt"`
		}](in, tlscertificate.InternalTLSSnapshotKey)
		if err != nil || len(inUse) == 0 {
			return wanted(in)
		}
		chain, err := certs.Parse(string(inUse[0].Certificate))
		if err != nil || len(chain) == 0 {
			return wanted(in)
		}
		former := older(in)
		if sets.New(chain[0].DNSNames...).Equal(sets.New(former...)) {
			return former
		}
		return wanted(in)
	}
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
