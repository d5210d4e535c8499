package hooks

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook istio_versions", func() {
	newVersionsRun := func(globalVersion string, objects ...string) *run {
		GinkgoHelper()
		r := newRun(istioVersions(), meshSettings)
		if globalVersion != "" {
			r.ValuesSet(globalVersionPath, globalVersion)
		}
		return r.given(append(objects, aNamespace("kube-system", ""), aPod("kube-system", "coredns", "", ""))...)
	}

	It("installs the default version when the settings name none", func() {
		r := newVersionsRun("").succeeds()
		Expect(r.ValuesGet(versionsPath).Raw).To(MatchJSON(`[{"version": "1.29", "revision": "v1x29", "fullVersion": "1.29.1", "imageSuffix": "V1x29x1"}]`))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x29"))
	})

	It("installs additional versions, too", func() {
		r := newVersionsRun("1.27")
		r.ValuesSet(additionalVersionsPath, []string{"1.29"})
		Expect(r.succeeds().revisions()).To(Equal("v1x29 v1x27"))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x27"))
	})

	It("writes the same values and no Event when nothing has changed", func() {
		r := newVersionsRun("").succeeds()
		before := r.ValuesGet("istio.internal").Raw
		Expect(r.succeeds().ValuesGet("istio.internal").Raw).To(MatchJSON(before))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	DescribeTable("keeps a version that is in use when it is dropped from the settings",
		func(user string, objects ...string) {
			r := newVersionsRun("1.29", append(objects, anIstiodDeployment("v1x27"))...).succeeds()
			Expect(r.revisions()).To(Equal("v1x29 v1x27"))
			Expect(r.events(versionInUseEvent)).To(ConsistOf(And(ContainSubstring("Istio 1.27"), ContainSubstring(user), ContainSubstring("additionalVersions"))))
			Expect(r.series(versionKeptMetric, "version", "revision")).To(Equal(map[string]float64{"1.27 v1x27": 1}))
		},
		Entry("by a namespace", "namespace shop", aNamespace("shop", "istio.io/rev: v1x27")),
		Entry("by a Pod that asks for it", "Pods in namespace shop", aNamespace("shop", ""), aPod("shop", "web", "istio.io/rev: v1x27", "")),
		Entry("by a sidecar that runs", "Pods in namespace shop", aNamespace("shop", "istio-injection: enabled"), anInjectedPod("shop", "web", "v1x27", "1.27.0")),
	)

	It("keeps what the webhooks of the default revision point to, and asks nobody to do anything about it", func() {
		r := newVersionsRun("1.29", anIstiodDeployment("v1x27"), aMutatingWebhook(defaultWebhook, "istio.io/rev: v1x27", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x29 v1x27"))
		Expect(r.events(versionInUseEvent)).To(BeEmpty())
		Expect(r.series(versionKeptMetric, "version")).To(BeEmpty())
	})

	It("keeps what the module's gateway runs", func() {
		r := newVersionsRun("1.29", anIstiodDeployment("v1x27"), aPod("d8-istio", "ingressgateway-x", "app: ingressgateway, istio.io/rev: v1x27", "")).succeeds()
		Expect(r.revisions()).To(Equal("v1x29 v1x27"))
	})

	It("removes a version that nobody uses any more", func() {
		Expect(newVersionsRun("1.29", anIstiodDeployment("v1x27"), anIstiod("v1x27", true)).succeeds().revisions()).To(Equal("v1x29"))
	})

	It("removes nothing when a snapshot is empty, because no cluster is", func() {
		r := newRun(istioVersions(), meshSettings).given(anIstiodDeployment("v1x27"))
		Expect(r.succeeds().revisions()).To(Equal("v1x29 v1x27"))
	})

	It("says the same while Pods come and go, and counts them", func() {
		var events []string
		for number := range 3 {
			objects := []string{aNamespace("shop", ""), anIstiodDeployment("v1x27")}
			for pod := range number + 1 {
				objects = append(objects, anInjectedPod("shop", fmt.Sprintf("web-%d-%d", number, pod), "v1x27", "1.27.0"))
			}
			r := newVersionsRun("1.29", objects...).succeeds()
			events = append(events, r.eventNames(versionInUseEvent)...)
			Expect(r.series(versionKeptMetric, "revision")).To(Equal(map[string]float64{"v1x27": float64(number + 1)}))
		}
		Expect(events).To(HaveLen(3))
		Expect(events).To(HaveEach(events[0]))
	})

	It("does not install what a Pod alone says it runs", func() {
		r := newVersionsRun("1.29", aNamespace("shop", ""), anInjectedPod("shop", "web", "v1x27", "1.27.0")).succeeds()
		Expect(r.revisions()).To(Equal("v1x29"))
	})

	It("knows by the webhooks of a revision that it was installed, when somebody deleted its istiod", func() {
		r := newVersionsRun("1.29", aNamespace("shop", "istio.io/rev: v1x27"),
			aMutatingWebhook("istio-sidecar-injector-v1x27-d8-istio", "istio.io/rev: v1x27", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x29 v1x27"))
	})

	It("warns before it takes over the webhooks of another Istio, and does not follow them", func() {
		r := newVersionsRun("1.29", anIstiodDeployment("v1x27"), aMutatingWebhook(defaultWebhook, "istio.io/rev: v1x27", "istio-system"), `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istiod-default-validator}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: istio-system, name: istiod}}, sideEffects: None, admissionReviewVersions: [v1]}]
`).succeeds()
		Expect(r.revisions()).To(Equal("v1x29"))
		Expect(r.events(webhookTakenOverEvent)).To(ConsistOf(
			And(ContainSubstring("MutatingWebhookConfiguration istio-revision-tag-default"), ContainSubstring("istio-system")),
			And(ContainSubstring("ValidatingWebhookConfiguration istiod-default-validator"), ContainSubstring("istio-system"))))
	})

	It("refuses an unknown version by name and keeps what is installed", func() {
		r := newVersionsRun("1.30", anIstiodDeployment("v1x27"), aMutatingWebhook(defaultWebhook, "istio.io/rev: v1x27", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x27"))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x27"))
		Expect(r.events(versionRefusedEvent)).To(ConsistOf(And(ContainSubstring("globalVersion"), ContainSubstring("1.30"), ContainSubstring("1.29"))))
		Expect(r.series(versionRefusedMetric)).To(Equal(map[string]float64{"": 1}))
	})

	It("says who uses a revision that this release of the module cannot install", func() {
		r := newVersionsRun("", aNamespace("shop", "istio.io/rev: v1x19")).succeeds()
		Expect(r.revisions()).To(Equal("v1x29"))
		Expect(r.events(revisionUnavailableEvent)).To(ConsistOf(And(ContainSubstring("v1x19"), ContainSubstring("namespace shop"))))
		Expect(r.series(revisionUnavailableMetric, "revision")).To(Equal(map[string]float64{"v1x19": 1}))
	})

	It("tells of deprecated versions and of those that are not for this Kubernetes", func() {
		r := newVersionsRun("1.29")
		r.ValuesSet(additionalVersionsPath, []string{"1.25"})
		r.succeeds()
		Expect(r.series(versionDeprecatedMetric, "version")).To(Equal(map[string]float64{"1.29": 0, "1.25": 1}))
		Expect(r.series(kubernetesMismatchMetric, "version", "kubernetes", "supported")).To(Equal(map[string]float64{
			"1.29 1.34.3 1.31–1.35": 0, "1.25 1.34.3 1.29–1.32": 1}))
		Expect(r.series(versionRefusedMetric)).To(Equal(map[string]float64{"": 0}))
	})

	DescribeTable("bears whatever somebody wrote into the annotation of a Pod",
		func(status string) {
			r := newVersionsRun("1.29", aNamespace("shop", ""), aPod("shop", "web", "", "sidecar.istio.io/status: "+status), anIstiodDeployment("v1x27"))
			Expect(r.succeeds().revisions()).To(Equal("v1x29 v1x27"), "it may be in use")
			Expect(r.events(sidecarUnclearEvent)).To(ConsistOf(And(ContainSubstring("Istio 1.27"), ContainSubstring("namespace shop"))))
		},
		Entry("no JSON", `"{"`),
		Entry("a list", `"[]"`),
		Entry("a number for a revision", `'{"revision": 5}'`),
		Entry("no revision", `'{}'`),
	)

	It("does not warn in the log every minute of what an Event says", func() {
		r := newVersionsRun("1.30").succeeds()
		Expect(r.LoggerOutput().String()).To(And(ContainSubstring("there is no Istio 1.30"), Not(ContainSubstring(`"warn"`))))
	})

	It("goes on without comparing when the version of Kubernetes cannot be read", func() {
		r := newVersionsRun("1.27")
		r.ValuesSet(kubernetesVersionPath, "unknown")
		Expect(r.succeeds().revisions()).To(Equal("v1x27"))
		Expect(r.series(versionDeprecatedMetric, "version")).To(HaveKey("1.27"))
		Expect(r.series(kubernetesMismatchMetric, "version")).To(BeEmpty())
		Expect(r.LoggerOutput().String()).To(ContainSubstring(kubernetesVersionPath))
	})
})
