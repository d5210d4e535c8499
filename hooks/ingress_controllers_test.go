package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook ingress_controllers", func() {
	counts := func(objects ...string) map[string]float64 {
		GinkgoHelper()
		r := newRun(ingressControllers(), settingsWithoutPeers).given(objects...).succeeds()
		Expect(r.PatchedOperations()).To(BeEmpty())
		return r.series(ingressControllerPodsMetric, "namespace", "controller", "inbound")
	}
	const (
		labels  = "app.kubernetes.io/name: traefik, service.istio.io/canonical-name: traefik"
		sidecar = `sidecar.istio.io/status: '{"revision":"v1x31"}'`
	)

	It("counts controllers whose sidecar ignores incoming traffic, and those whose sidecar intercepts it", func() {
		Expect(counts(
			aPod("ingress", "prepared", labels, sidecar+`, traffic.sidecar.istio.io/includeInboundPorts: ""`),
			aPod("ingress", "unprepared", labels, sidecar),
			aPod("ingress", "ports", labels, sidecar+`, traffic.sidecar.istio.io/includeInboundPorts: "8080"`),
		)).To(Equal(map[string]float64{"ingress traefik direct": 1, "ingress traefik intercepted": 2}))
	})

	It("recognises Deckhouse's controller", func() {
		Expect(counts(aPod("d8-ingress-nginx", "controller-main", "app: controller, service.istio.io/canonical-name: controller", sidecar))).To(
			HaveKeyWithValue("d8-ingress-nginx ingress-nginx intercepted", 1.0))
	})

	It("reports neither controllers outside the mesh nor applications in it", func() {
		Expect(counts(
			aPod("ingress", "outside", "app.kubernetes.io/name: traefik", ""),
			anInjectedPod("shop", "web", "v1x31", "1.31.3"),
		)).To(BeEmpty())
	})
})
