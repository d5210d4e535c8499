package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

var _ = Describe("Hook remote_authn_keypair", func() {
	inUse := func(r *run) authn.Keypair {
		return authn.Keypair{Priv: r.ValuesGet(keypairPath + ".priv").String(), Pub: r.ValuesGet(keypairPath + ".pub").String()}
	}

	It("makes a keypair once and stores it outside the module's namespace", func() {
		r := newRun(remoteAuthnKeypair(), federationSettings).given("").succeeds()
		first := inUse(r)
		Expect(first.Validate()).To(Succeed())
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-remote-authn-keypair")).NotTo(BeNil())
		r.succeeds()
		Expect(inUse(r)).To(Equal(first))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("finds the stored keypair, or that of a former module", func() {
		keypair, err := authn.GenerateKeypair()
		Expect(err).NotTo(HaveOccurred())
		data := map[string]string{"priv.pem": keypair.Priv, "pub.pem": keypair.Pub}
		for _, found := range []string{aSecret("d8-system", "istio-remote-authn-keypair", data), aSecret("d8-istio", "d8-remote-authn-keypair", data)} {
			Expect(inUse(newRun(remoteAuthnKeypair(), federationSettings).given(found).succeeds())).To(Equal(keypair))
		}
	})

	It("prefers the stored keypair to one that was made before the snapshot had it", func() {
		keypair, err := authn.GenerateKeypair()
		Expect(err).NotTo(HaveOccurred())
		r := newRun(remoteAuthnKeypair(), federationSettings).given("").succeeds()
		Expect(r.PatchedOperations()).To(HaveLen(1))
		Expect(r.PatchedOperations()[0].Type).To(BeEquivalentTo("CreateIfNotExists"), "one that is there is not overwritten")

		r.given(aSecret("d8-system", "istio-remote-authn-keypair", map[string]string{"priv.pem": keypair.Priv, "pub.pem": keypair.Pub})).succeeds()
		Expect(inUse(r)).To(Equal(keypair))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("replaces an invalid keypair and reports it", func() {
		r := newRun(remoteAuthnKeypair(), federationSettings).given(
			aSecret("d8-system", "istio-remote-authn-keypair", map[string]string{"priv.pem": "x", "pub.pem": "y"})).succeeds()
		Expect(inUse(r).Validate()).To(Succeed())
		Expect(r.LoggerOutput().String()).To(ContainSubstring("invalid"))
	})
})
