package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook webhook_withdrawal", func() {
	It("deletes the webhooks before istiod, and nothing else", func() {
		r := newRun(webhookWithdrawal(), settingsWithoutPeers).given(orphanObjects).succeeds()
		Expect(remaining(r, "MutatingWebhookConfiguration", "of-module", "elsewhere")).To(Equal([]string{"elsewhere"}))
		Expect(remaining(r, "ValidatingWebhookConfiguration", "points-here")).To(BeEmpty())
		Expect(r.KubernetesResource("ConfigMap", "shop", "istio-ca-root-cert")).NotTo(BeNil())
		Expect(remaining(r, "GatewayClass", "istio")).To(Equal([]string{"istio"}))
	})

	It("has drift_repair restore nothing any more", func() {
		r := newRun(webhookWithdrawal(), driftSettings)
		r.ValuesSet(renderedPath, controlPlane)
		Expect(r.given().succeeds().ValuesGet(renderedPath).Raw).To(MatchJSON(`[]`))
	})
})
