package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

var _ = Describe("Hook ca", func() {
	inUse := func(r *run) ca.Bundle {
		return ca.Bundle{
			Cert: r.ValuesGet("istio.internal.ca.cert").String(), Key: r.ValuesGet("istio.internal.ca.key").String(),
			Chain: r.ValuesGet("istio.internal.ca.chain").String(), Root: r.ValuesGet("istio.internal.ca.root").String(),
		}
	}
	secretOf := func(namespace, name string, bundle ca.Bundle) string {
		return aSecret(namespace, name, map[string]string{
			"ca-cert.pem": bundle.Cert, "ca-key.pem": bundle.Key, "cert-chain.pem": bundle.Chain, "root-cert.pem": bundle.Root,
		})
	}
	generated := func() ca.Bundle {
		GinkgoHelper()
		bundle, err := ca.Generate("cluster-a.local")
		Expect(err).NotTo(HaveOccurred())
		return bundle
	}

	It("generates a CA once and keeps it outside the module's namespace", func() {
		r := newRun(certificateAuthority(), joinedSettings).given("").succeeds()
		first := inUse(r)
		Expect(first.Check(now)).To(Succeed())
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil())

		r.succeeds()
		Expect(inUse(r)).To(Equal(first))
		Expect(r.PatchedOperations()).To(BeEmpty(), "an unchanged CA is not written again")
	})

	It("finds the kept CA after the module was off", func() {
		kept := generated()
		r := newRun(certificateAuthority(), joinedSettings).given(secretOf("d8-system", "istio-ca", kept)).succeeds()
		Expect(inUse(r)).To(Equal(kept))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("lets the kept CA win over one that was generated before it was to be seen", func() {
		kept := generated()
		r := newRun(certificateAuthority(), joinedSettings).given("").succeeds()
		Expect(inUse(r)).NotTo(Equal(kept))
		Expect(r.PatchedOperations()).To(HaveLen(1))
		Expect(r.PatchedOperations()[0].Type).To(BeEquivalentTo("CreateIfNotExists"), "one that is there is not overwritten")

		r.given(secretOf("d8-system", "istio-ca", kept)).succeeds()
		Expect(inUse(r)).To(Equal(kept))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("repairs a kept Secret that is broken from the CA in use", func() {
		r := newRun(certificateAuthority(), joinedSettings).given("").succeeds()
		first := inUse(r)
		broken := first
		broken.Key = generated().Key
		r.given(secretOf("d8-system", "istio-ca", broken)).succeeds()
		Expect(inUse(r)).To(Equal(first))
		Expect(r.PatchedOperations()).To(HaveLen(1))
		Expect(r.PatchedOperations()[0].Type).To(BeEquivalentTo("CreateOrUpdate"))
	})

	It("takes over a Secret cacerts that was there before the module", func() {
		found := generated()
		r := newRun(certificateAuthority(), joinedSettings).given(secretOf("d8-istio", "cacerts", found)).succeeds()
		Expect(inUse(r)).To(Equal(found))
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil())
	})

	It("uses the CA of the settings", func() {
		own := generated()
		r := newRun(certificateAuthority(), joinedSettings).given(secretOf("d8-system", "istio-ca", generated()))
		r.ValuesSet("istio.ca", map[string]string{"cert": own.Cert, "key": own.Key})
		r.succeeds()
		Expect(inUse(r)).To(Equal(own))
		refused, _ := r.metric(caRefusedMetric)
		Expect(refused).To(BeZero())
	})

	It("replaces the kept CA by that of the settings, and stays with it when it leaves them", func() {
		own := generated()
		r := newRun(certificateAuthority(), joinedSettings).given(secretOf("d8-system", "istio-ca", generated()))
		r.ValuesSet("istio.ca", map[string]string{"cert": own.Cert, "key": own.Key})
		r.succeeds()
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil())
		r.ValuesDelete("istio.ca")
		r.succeeds()
		Expect(inUse(r)).To(Equal(own))
	})

	It("refuses a bad CA of the settings by name, once, and keeps the old one", func() {
		kept := generated()
		r := newRun(certificateAuthority(), joinedSettings).given(secretOf("d8-system", "istio-ca", kept))
		r.ValuesSet("istio.ca", map[string]string{"cert": generated().Cert, "key": kept.Key})
		r.succeeds()
		Expect(inUse(r)).To(Equal(kept))
		value, _ := r.metric(caRefusedMetric)
		Expect(value).To(BeEquivalentTo(1))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("ca.key: does not belong"))
		r.succeeds()

		events := 0
		for _, operation := range r.PatchedOperations() {
			if operation.Type == "CreateIfNotExists" {
				events++
			}
		}
		Expect(events).To(Equal(1), "the event has the same name every time")
	})
})
