package hooks

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook federation_services_end", func() {
	It("has nothing created again while the release is deleted", func() {
		services, on := residentOn(context.Background())
		r := newRun(services.hook(), federationSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(entries(r), soon).Should(ConsistOf("api.shop.b"))

		ending := federationServicesEnd(services)
		Expect(ending.Config.OnBeforeDeleteHelm).NotTo(BeNil())
		Expect(ending.Run(GinkgoT().Context(), nil)).To(Succeed())
		deleteEntry(r)
		r.succeeds() // its own queue may still have a run
		Consistently(entries(r), 300*time.Millisecond).Should(BeEmpty())
		Expect(ending.Run(GinkgoT().Context(), nil)).To(Succeed(), "nothing is left to stop")
	})
})
