package hooks

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook data_plane_revisions", func() {
	newDataPlaneRun := func(objects ...string) *run {
		GinkgoHelper()
		r := newRun(dataPlaneRevisions(), installedVersions)
		r.ValuesSet(defaultRevisionPath, "v1x30")
		return r.given(objects...).succeeds()
	}
	states := func(r *run) []string {
		GinkgoHelper()
		var sentences []string
		for _, metric := range r.CollectedMetrics() {
			if metric.Name == dataPlaneMetric {
				Expect(metric.Value).To(HaveValue(Equal(1.0)))
				labels := metric.Labels
				sentences = append(sentences, fmt.Sprintf("%s/%s wants %s (%s), has %s (%s)", labels["namespace"], labels["dataplane_pod"],
					labels["desired_revision"], labels["desired_full_version"], labels["revision"], labels["full_version"]))
			}
		}
		return sentences
	}
	problems := func(r *run) map[string]float64 {
		GinkgoHelper()
		found := r.series(dataPlaneProblemMetric, "namespace", "problem")
		for key, number := range found {
			if number == 0 {
				delete(found, key)
			}
		}
		return found
	}

	It("reports which sidecar a Pod has and which it would get now", func() {
		r := newDataPlaneRun(aNamespace("shop", "istio-injection: enabled"), anInjectedPod("shop", "web", "v1x30", "1.30.7"))
		Expect(states(r)).To(ConsistOf("shop/web wants v1x30 (1.30.7), has v1x30 (1.30.7)"))
		Expect(problems(r)).To(BeEmpty())
		Expect(r.series(dataPlaneProblemMetric, "namespace", "problem")).To(HaveLen(4), "an ended problem is reported as zero")
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("follows the labels of namespaces and Pods", func() {
		r := newDataPlaneRun(
			aNamespace("shop", "istio.io/rev: v1x31"), anInjectedPod("shop", "web", "v1x30", "1.30.7"),
			aNamespace("plain", ""), aPod("plain", "asks", "sidecar.istio.io/inject: 'true'", ""), aPod("plain", "names", "istio.io/rev: v1x31", ""), aPod("plain", "silent", "", ""))
		Expect(states(r)).To(ConsistOf(
			"shop/web wants v1x31 (1.31.3), has v1x30 (1.30.7)",
			"plain/asks wants v1x30 (1.30.7), has none (none)",
			"plain/names wants v1x31 (1.31.3), has none (none)",
		))
		Expect(problems(r)).To(Equal(map[string]float64{"shop OtherRevision": 1, "plain SidecarMissing": 2}))
	})

	It("reports sidecars behind their istiod and revisions that do not exist", func() {
		r := newDataPlaneRun(
			aNamespace("shop", "istio.io/rev: v1x31"), anInjectedPod("shop", "web", "v1x31", "1.31.2"),
			aNamespace("lost", "istio.io/rev: v1x99"), aPod("lost", "web", "", ""))
		Expect(problems(r)).To(Equal(map[string]float64{"shop OlderVersion": 1, "lost RevisionNotInstalled": 1}))
	})

	It("does not believe what a tenant writes into annotations", func() {
		long := strings.Repeat("x", 250_000)
		r := newDataPlaneRun(
			aNamespace("shop", "istio.io/rev: v1x31"), anInjectedPod("shop", "long", long, long), anInjectedPod("shop", "many", "v1x99999", "1.31.3"))
		Expect(states(r)).To(ConsistOf(
			"shop/long wants v1x31 (1.31.3), has unknown (unknown)",
			"shop/many wants v1x31 (1.31.3), has v1x99999 (1.31.3)",
		))
	})

	It("leaves out what is in the mesh of another Istio", func() {
		r := newDataPlaneRun(aNamespace("foreign", "istio.io/rev: 1-28-0"), anInjectedPod("foreign", "web", "1-28-0", "1.28.0"), aPod("foreign", "new", "", ""))
		Expect(states(r)).To(BeEmpty())
		Expect(problems(r)).To(BeEmpty())
	})

	It("reads the version of a sidecar that the kubelet starts as an init container from its image", func() {
		r := newDataPlaneRun(aNamespace("shop", "istio-injection: enabled"), `
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web, annotations: {sidecar.istio.io/status: '{"revision":"v1x30"}'}}
spec: {containers: [{name: app, image: "app:9.9.9"}], initContainers: [{name: istio-proxy, image: "proxyv2:1.30.7"}]}
`)
		Expect(states(r)).To(ConsistOf("shop/web wants v1x30 (1.30.7), has v1x30 (1.30.7)"))
	})

	It("leaves out the module's own Pods and those that have finished", func() {
		r := newDataPlaneRun(aNamespace("d8-istio", ""), aPod("d8-istio", "ingressgateway", "istio.io/rev: v1x31", ""),
			aNamespace("shop", "istio-injection: enabled"), `
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: job}
status: {phase: Succeeded}
`)
		Expect(states(r)).To(BeEmpty())
	})
})
