package hooks

import (
	"crypto/tls"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// issuedFor is the hook's certificate for these names in the public domain, as the Secret that the templates render of it.
func issuedFor(publicNames ...string) map[string]string {
	GinkgoHelper()
	r := newRun(selfSigned("former", "metadata-exporter", pathUnderItsName("istio.internal.metadataExporterCertificate"), allianceEnabled, publicNames...), federationSettings).given("").succeeds()
	field := func(name string) string {
		return r.ValuesGet("istio.internal.metadataExporterCertificate." + name).String()
	}
	return map[string]string{"ca.crt": field("ca"), "tls.crt": field("crt"), "tls.key": field("key")}
}

var _ = DescribeTable("The certificate of metadata-exporter stays when the module learns a second host, for its authority is known to peers",
	func(retained bool, publicNames ...string) {
		former := issuedFor(publicNames...)
		r := newRun(metadataExporterCertificate(), federationSettings).given(aSecret("d8-istio", "metadata-exporter-tls", former)).succeeds()
		Expect(r.ValuesGet("istio.internal.metadataExporterCertificate.ca").String() == former["ca.crt"]).To(Equal(retained))
		Expect(r.ValuesGet("istio.internal.metadataExporterCertificate.crt").String() == former["tls.crt"]).To(Equal(retained))
	},
	Entry("with the older host", true, "istio"),
	Entry("with both", true, "istio", "istio-metadata"),
	Entry("but not with other names", false, "elsewhere"),
)

var _ = DescribeTable("Hooks of self-signed certificates issue one for all names of the component, while it is needed",
	func(hook hookruntime.Hook, path, setting, component string, publicNames ...string) {
		r := newRun(hook, settingsWithoutPeers).given("")
		r.ValuesSet("global.modules.publicDomainTemplate", "%s.cluster-a.example.com")
		Expect(r.succeeds().ValuesGet(path).Exists()).To(BeFalse())

		r.ValuesSet(setting, true)
		r.succeeds()
		pair, err := tls.X509KeyPair([]byte(r.ValuesGet(path+".crt").String()), []byte(r.ValuesGet(path+".key").String()))
		Expect(err).NotTo(HaveOccurred())
		Expect(pair.Leaf.Subject.CommonName).To(Equal(component))
		wanted := []string{component, component + ".d8-istio", component + ".d8-istio.svc", component + ".d8-istio.svc.cluster-a.local"}
		for _, name := range publicNames {
			wanted = append(wanted, name+".cluster-a.example.com")
		}
		Expect(pair.Leaf.DNSNames).To(ConsistOf(wanted))
	},
	Entry("of metadata-exporter with federation", metadataExporterCertificate(), "istio.internal.metadataExporterCertificate", federationEnabledPath, "metadata-exporter", "istio", "istio-metadata"),
	Entry("of metadata-exporter with multicluster", metadataExporterCertificate(), "istio.internal.metadataExporterCertificate", multiclusterEnabledPath, "metadata-exporter", "istio", "istio-metadata"),
	Entry("of api-proxy", apiProxyCertificate(), "istio.internal.apiProxyCertificate", multiclusterEnabledPath, "api-proxy", "istio-api-proxy"),
)
