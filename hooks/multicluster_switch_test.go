package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook multicluster_switch", func() {
	It("reports in every resource that multicluster is off, and wakes the discovery when it is on again", func() {
		r := newRun(multiclusterSwitch(), federationSettings).given(aMulticluster("b", ""), versionsConfigMap("multicluster", nil)).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("reason", "MulticlusterDisabled"))
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		r.ValuesSet("istio.multicluster.enabled", true)
		r.succeeds()
		first := r.reported("multicluster")
		Expect(first).To(HaveKey("b"))
		r.succeeds()
		Expect(r.reported("multicluster")).To(Equal(first))
	})
})
