package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

var _ = Describe("Hook copy_custom_certificate", func() {
	withCustom := func() *run {
		r := newRun(copyCustomCertificate(), federationSettings)
		r.ValuesSet("global.modules.https", map[string]any{"mode": "CustomCertificate", "customCertificate": map[string]string{"secretName": "public"}})
		return r
	}
	certificate := func() ca.Bundle {
		GinkgoHelper()
		bundle, err := ca.Generate("public")
		Expect(err).NotTo(HaveOccurred())
		return bundle
	}

	It("copies the Secret that the settings name", func() {
		pair := certificate()
		r := withCustom().given(
			aSecret("d8-system", "public", map[string]string{"tls.crt": pair.Cert, "tls.key": pair.Key}),
			aSecret("d8-system", "other", map[string]string{"tls.crt": "x", "tls.key": "y"})).succeeds()
		Expect(r.ValuesGet(customCertificatePath + `.tls\.crt`).String()).To(Equal(pair.Cert))
		Expect(r.ValuesGet(customCertificatePath + `.tls\.key`).String()).To(Equal(pair.Key))
	})

	It("retains the certificate in use when the Secret is deleted or invalid, and reports it", func() {
		pair := certificate()
		r := withCustom().given(aSecret("d8-system", "public", map[string]string{"tls.crt": pair.Cert, "tls.key": pair.Key})).succeeds()
		for _, change := range []string{"", aSecret("d8-system", "public", map[string]string{"tls.crt": pair.Cert, "tls.key": certificate().Key})} {
			r.given(change).succeeds()
			Expect(r.ValuesGet(customCertificatePath + `.tls\.crt`).String()).To(Equal(pair.Cert))
			value, _ := r.metric(customCertificateMetric)
			Expect(value).To(BeEquivalentTo(1))
			Expect(r.events("CustomCertificateRefused")).To(HaveLen(1))
		}
	})

	It("finds the certificate in use after a restart while the Secret is missing or invalid", func() {
		pair := certificate()
		rendered := aSecret("d8-istio", "metadata-exporter-ingress-tls-customcertificate",
			map[string]string{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": pair.Root})
		broken := aSecret("d8-system", "public", map[string]string{"tls.crt": "x", "tls.key": "y"})
		for _, objects := range [][]string{{rendered}, {rendered, broken}} {
			r := withCustom().given(objects...).succeeds()
			Expect(r.ValuesGet(customCertificatePath + `.tls\.crt`).String()).To(Equal(pair.Cert))
			Expect(r.ValuesGet(customCertificatePath + `.tls\.key`).String()).To(Equal(pair.Key))
			Expect(r.ValuesGet(customCertificatePath + `.ca\.crt`).String()).To(Equal(pair.Root))
			value, _ := r.metric(customCertificateMetric)
			Expect(value).To(BeEquivalentTo(1))
		}
	})

	It("has none where neither the Secret nor a copy is valid", func() {
		r := withCustom().given(aSecret("d8-istio", customCertificateCopy, map[string]string{"tls.crt": "x", "tls.key": "y"})).succeeds()
		Expect(r.ValuesGet(customCertificatePath).Exists()).To(BeFalse())
	})

	It("prefers the person's Secret to the copy", func() {
		pair, old := certificate(), certificate()
		r := withCustom().given(
			aSecret("d8-istio", customCertificateCopy, map[string]string{"tls.crt": old.Cert, "tls.key": old.Key}),
			aSecret("d8-system", "public", map[string]string{"tls.crt": pair.Cert, "tls.key": pair.Key})).succeeds()
		Expect(r.ValuesGet(customCertificatePath + `.tls\.crt`).String()).To(Equal(pair.Cert))
	})

	It("removes it in another mode", func() {
		r := newRun(copyCustomCertificate(), federationSettings).given("")
		r.ValuesSet(customCertificatePath, map[string]string{"tls.crt": "x", "tls.key": "y"})
		Expect(r.succeeds().ValuesGet(customCertificatePath).Exists()).To(BeFalse())
	})
})
