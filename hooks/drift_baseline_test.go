package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook drift_baseline", func() {
	It("records what Helm has applied", func() {
		r := newRun(driftBaseline(), driftSettings).given().succeeds()
		Expect(r.ValuesGet(renderedPath).Value()).To(ConsistOf(asAny(controlPlane)...))
	})
})
