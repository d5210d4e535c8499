package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook application_namespaces", func() {
	It("finds namespaces by their labels, by Pods that request a sidecar, and by sidecars that run", func() {
		r := newRun(applicationNamespaces(), settingsWithoutPeers).given(
			aNamespace("web", "istio-injection: enabled"),
			aNamespace("shop", "istio.io/rev: v1x30"),
			aNamespace("ingress", ""), aPod("ingress", "controller", "sidecar.istio.io/inject: 'true'", ""),
			aNamespace("canary", ""), aPod("canary", "web", "istio.io/rev: v1x31", ""),
			aNamespace("foreign", "istio.io/rev: 1-28-0"), anInjectedPod("foreign", "web", "1-28-0", "1.28.0"),
			aNamespace("left", ""), anInjectedPod("left", "web", "v1x31", "1.31.3"),
			aNamespace("plain", ""), aPod("plain", "web", "", ""),
			aNamespace("without", "istio-injection: disabled"),
			aNamespace("d8-istio", ""), anIstiod("v1x31", true),
		).succeeds()
		Expect(r.ValuesGet(applicationNamespacesPath).Raw).To(MatchJSON(`["canary", "ingress", "left", "shop", "web"]`))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("leaves out a namespace that is being deleted: nothing can be created there", func() {
		r := newRun(applicationNamespaces(), settingsWithoutPeers).given(`
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}, deletionTimestamp: "2030-11-22T12:00:00Z", finalizers: [example.com/wait]}
`).succeeds()
		Expect(r.ValuesGet(applicationNamespacesPath).Raw).To(MatchJSON(`[]`))
	})

	It("retains its result when the snapshot has no namespace, because every cluster has some", func() {
		r := newRun(applicationNamespaces(), settingsWithoutPeers).given(aNamespace("shop", "istio-injection: enabled")).succeeds()
		Expect(r.given().succeeds().ValuesGet(applicationNamespacesPath).Raw).To(MatchJSON(`["shop"]`))
	})
})
