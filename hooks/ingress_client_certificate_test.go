package hooks

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook ingress_client_certificate", func() {
	const path = "istio.internal.ingressClientCertificate"
	start := func(way string) *run {
		GinkgoHelper()
		r := newRun(ingressClientCertificate(), federationSettings).given("")
		r.ValuesSet(clientCertificatesPath, way)
		return r
	}
	field := func(r *run, name string) string { return r.ValuesGet(path + "." + name).String() }

	It("issues a certificate for clients only, by an authority of its own", func() {
		r := start("Header").succeeds()
		pair, err := tls.X509KeyPair([]byte(field(r, "crt")), []byte(field(r, "key")))
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM([]byte(field(r, "ca")))).To(BeTrue())
		verify := func(use x509.ExtKeyUsage) error {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{use}})
			return err
		}
		Expect(verify(x509.ExtKeyUsageClientAuth)).To(Succeed())
		Expect(verify(x509.ExtKeyUsageServerAuth)).NotTo(Succeed())
		Expect(pair.Leaf.IsCA).To(BeFalse())
	})

	It("retains the rendered one", func() {
		r := start("Header").succeeds()
		data := map[string]string{"ca.crt": field(r, "ca"), "tls.crt": field(r, "crt"), "tls.key": field(r, "key")}
		again := start("Header").given(aSecret("d8-istio", "metadata-exporter-ingress-client", data)).succeeds()
		for key, name := range map[string]string{"ca.crt": "ca", "tls.crt": "crt", "tls.key": "key"} {
			Expect(field(again, name)).To(Equal(data[key]))
		}
	})

	It("issues none where no header is trusted", func() {
		for _, way := range []string{"None", "Passthrough"} {
			Expect(start(way).succeeds().ValuesGet(path + ".crt").Exists()).To(BeFalse())
		}
	})
})
