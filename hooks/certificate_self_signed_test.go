package hooks

import (
	"crypto/tls"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

var _ = DescribeTable("Hooks of self-signed certificates issue one for all names of the component, while it is needed",
	func(hook hookruntime.Hook, path, setting, component, publicName string) {
		r := newRun(hook, settingsWithoutPeers).given("")
		r.ValuesSet("global.modules.publicDomainTemplate", "%s.cluster-a.example.com")
		Expect(r.succeeds().ValuesGet(path).Exists()).To(BeFalse())

		r.ValuesSet(setting, true)
		r.succeeds()
		pair, err := tls.X509KeyPair([]byte(r.ValuesGet(path+".crt").String()), []byte(r.ValuesGet(path+".key").String()))
		Expect(err).NotTo(HaveOccurred())
		Expect(pair.Leaf.Subject.CommonName).To(Equal(component))
		Expect(pair.Leaf.DNSNames).To(ConsistOf(component, component+".d8-istio", component+".d8-istio.svc",
			component+".d8-istio.svc.cluster-a.local", publicName+".cluster-a.example.com"))
	},
	Entry("of metadata-exporter with federation", metadataExporterCertificate(), "istio.internal.metadataExporterCertificate", federationEnabledPath, "metadata-exporter", "istio"),
	Entry("of metadata-exporter with multicluster", metadataExporterCertificate(), "istio.internal.metadataExporterCertificate", multiclusterEnabledPath, "metadata-exporter", "istio"),
	Entry("of api-proxy", apiProxyCertificate(), "istio.internal.apiProxyCertificate", multiclusterEnabledPath, "api-proxy", "istio-api-proxy"),
)
