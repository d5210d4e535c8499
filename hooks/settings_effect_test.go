package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook settings_effect", func() {
	It("reports each setting that changes nothing, on the ModuleConfig and as a series", func() {
		r := newRun(settingsEffect(), settingsWithoutPeers)
		r.ValuesSet("istio.dataPlane.ztunnel", map[string]any{"resourcesManagement": map[string]any{"mode": "Static"}})
		r.ValuesSet("istio.dataPlane.trafficRedirectionSetupMode", "CNIPlugin")
		r.given("").succeeds()
		Expect(r.events(settingWithoutEffectEvent)).To(ConsistOf(
			HavePrefix("dataPlane.ztunnel is without effect: "), HavePrefix("dataPlane.trafficRedirectionSetupMode is without effect: ")))
		Expect(r.series(settingWithoutEffectMetric, "setting")).To(Equal(map[string]float64{
			"dataPlane.ztunnel": 1, "dataPlane.trafficRedirectionSetupMode": 1,
		}))
	})

	It("reports nothing of the defaults", func() {
		r := newRun(settingsEffect(), settingsWithoutPeers).given("").succeeds()
		Expect(r.events(settingWithoutEffectEvent)).To(BeEmpty())
		Expect(r.series(settingWithoutEffectMetric, "setting")).To(BeEmpty())
	})

	It("knows whether Dex lets people in", func() {
		r := newRun(settingsEffect(), settingsWithoutPeers)
		r.ValuesSet("istio.auth.allowedUserEmails", []string{"jane@example.com"})
		r.given("").succeeds()
		Expect(r.series(settingWithoutEffectMetric, "setting")).To(HaveKey("auth.allowedUserEmails"))
		r.ValuesSet(enabledModulesPath, []string{"user-authn"})
		Expect(r.succeeds().series(settingWithoutEffectMetric, "setting")).To(BeEmpty())
	})
})
