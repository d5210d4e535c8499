package hooks

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook federation_services_resume", func() {
	It("has entries created again when the module is switched on again", func() {
		services, on := residentOn(context.Background())
		r := newRun(services.hook(), federationSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(entries(r), soon).Should(ConsistOf("api.shop.b"))
		Expect(federationServicesEnd(services).Run(GinkgoT().Context(), nil)).To(Succeed())
		deleteEntry(r)

		resuming := federationServicesResume(services)
		Expect(resuming.Config.OnStartup).NotTo(BeNil())
		Expect(resuming.Config.OnBeforeHelm).NotTo(BeNil())
		Expect(resuming.Run(GinkgoT().Context(), nil)).To(Succeed())
		Eventually(entries(r.succeeds()), soon).Should(ConsistOf("api.shop.b"))
		deleteEntry(r)
		Eventually(entries(r), soon).Should(ConsistOf("api.shop.b"))
	})
})
