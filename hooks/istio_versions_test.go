package hooks

import (
	"fmt"

	"github.com/jonboulle/clockwork"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var _ = Describe("Hook istio_versions", func() {
	// Every version of the table is in support then, and no end is near.
	inSupport := istioversion.Default().Released.AddDate(0, 0, 1)
	// bridge is the oldest version of the table.
	bridge := istioversion.All()[len(istioversion.All())-1]

	newVersionsRun := func(globalVersion string, objects ...string) *run {
		GinkgoHelper()
		r := newRun(istioVersions(), settingsWithoutPeers)
		r.clock = clockwork.NewFakeClockAt(inSupport)
		if globalVersion != "" {
			r.ValuesSet(globalVersionPath, globalVersion)
		}
		return r.given(append(objects, aNamespace("kube-system", ""), aPod("kube-system", "coredns", "", ""))...)
	}

	It("installs the default version when the settings name none", func() {
		r := newVersionsRun("").succeeds()
		Expect(r.ValuesGet(versionsPath).Raw).To(MatchJSON(`[{"version": "1.31", "revision": "v1x31", "fullVersion": "` + istioversion.Default().Full() + `",
			"imageSuffix": "V1x31", "restartOnReplacedKubeconfig": false}]`))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x31"))
	})

	It("installs additional versions, too", func() {
		r := newVersionsRun("1.30")
		r.ValuesSet(additionalVersionsPath, []string{"1.31"})
		Expect(r.succeeds().revisions()).To(Equal("v1x31 v1x30"))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x30"))
	})

	It("writes the same values and no Event when nothing has changed", func() {
		r := newVersionsRun("").succeeds()
		before := r.ValuesGet("istio.internal").Raw
		Expect(r.succeeds().ValuesGet("istio.internal").Raw).To(MatchJSON(before))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	DescribeTable("retains a version that is in use when it is removed from the settings",
		func(user string, objects ...string) {
			r := newVersionsRun("1.31", append(objects, anIstiodDeployment("v1x30"))...).succeeds()
			Expect(r.revisions()).To(Equal("v1x31 v1x30"))
			Expect(r.events(versionInUseEvent)).To(ConsistOf(And(ContainSubstring("Istio 1.30"), ContainSubstring(user), ContainSubstring("additionalVersions"))))
			Expect(r.series(versionKeptMetric, "version", "revision")).To(Equal(map[string]float64{"1.30 v1x30": 1}))
		},
		Entry("by a namespace", "namespace shop", aNamespace("shop", "istio.io/rev: v1x30")),
		Entry("by a Pod that requests it", "Pods in namespace shop", aNamespace("shop", ""), aPod("shop", "web", "istio.io/rev: v1x30", "")),
		Entry("by a sidecar that runs", "Pods in namespace shop", aNamespace("shop", "istio-injection: enabled"), anInjectedPod("shop", "web", "v1x30", "1.30.7")),
	)

	It("retains what the webhooks of the default revision point to, without an Event", func() {
		r := newVersionsRun("1.31", anIstiodDeployment("v1x30"), aMutatingWebhook(names.DefaultInjector, "istio.io/rev: v1x30", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x31 v1x30"))
		Expect(r.events(versionInUseEvent)).To(BeEmpty())
		Expect(r.series(versionKeptMetric, "version")).To(BeEmpty())
	})

	It("retains what the module's gateway runs", func() {
		r := newVersionsRun("1.31", anIstiodDeployment("v1x30"), aPod("d8-istio", "ingressgateway-x", "app: ingressgateway, istio.io/rev: v1x30", "")).succeeds()
		Expect(r.revisions()).To(Equal("v1x31 v1x30"))
	})

	It("removes a version that is not used any more", func() {
		Expect(newVersionsRun("1.31", anIstiodDeployment("v1x30"), anIstiod("v1x30", true)).succeeds().revisions()).To(Equal("v1x31"))
	})

	It("removes nothing when a snapshot is empty, because no cluster is empty", func() {
		r := newRun(istioVersions(), settingsWithoutPeers).given(anIstiodDeployment("v1x30"))
		Expect(r.succeeds().revisions()).To(Equal("v1x31 v1x30"))
	})

	It("reports the same while Pods are created and deleted, and counts them", func() {
		var events []string
		for number := range 3 {
			objects := []string{aNamespace("shop", ""), anIstiodDeployment("v1x30")}
			for pod := range number + 1 {
				objects = append(objects, anInjectedPod("shop", fmt.Sprintf("web-%d-%d", number, pod), "v1x30", "1.30.7"))
			}
			r := newVersionsRun("1.31", objects...).succeeds()
			for _, event := range r.writtenEvents(versionInUseEvent) {
				events = append(events, event.Name)
			}
			Expect(r.series(versionKeptMetric, "revision")).To(Equal(map[string]float64{"v1x30": float64(number + 1)}))
		}
		Expect(events).To(HaveLen(3))
		Expect(events).To(HaveEach(events[0]))
	})

	It("does not install what only a Pod claims to run", func() {
		r := newVersionsRun("1.31", aNamespace("shop", ""), anInjectedPod("shop", "web", "v1x30", "1.30.7")).succeeds()
		Expect(r.revisions()).To(Equal("v1x31"))
	})

	It("recognises by a revision's webhooks that it was installed, when its istiod was deleted", func() {
		r := newVersionsRun("1.31", aNamespace("shop", "istio.io/rev: v1x30"),
			aMutatingWebhook("istio-sidecar-injector-v1x30-d8-istio", "istio.io/rev: v1x30", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x31 v1x30"))
	})

	It("warns before it replaces the webhooks of another Istio, and does not follow them", func() {
		r := newVersionsRun("1.31", anIstiodDeployment("v1x30"), aMutatingWebhook(names.DefaultInjector, "istio.io/rev: v1x30", "istio-system"), `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istiod-default-validator}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: istio-system, name: istiod}}, sideEffects: None, admissionReviewVersions: [v1]}]
`).succeeds()
		Expect(r.revisions()).To(Equal("v1x31"))
		Expect(r.events(webhookTakenOverEvent)).To(ConsistOf(
			And(ContainSubstring("MutatingWebhookConfiguration istio-revision-tag-default"), ContainSubstring("istio-system")),
			And(ContainSubstring("ValidatingWebhookConfiguration istiod-default-validator"), ContainSubstring("istio-system"))))
	})

	It("rejects an unknown version by name and retains what is installed", func() {
		r := newVersionsRun("1.28", anIstiodDeployment("v1x30"), aMutatingWebhook(names.DefaultInjector, "istio.io/rev: v1x30", "d8-istio")).succeeds()
		Expect(r.revisions()).To(Equal("v1x30"))
		Expect(r.ValuesGet(globalRevisionPath).String()).To(Equal("v1x30"))
		Expect(r.ValuesGet(heldBackPath).String()).To(BeEmpty())
		Expect(r.events(versionRefusedEvent)).To(ConsistOf(And(ContainSubstring("globalVersion"), ContainSubstring("1.28"), ContainSubstring("1.31"))))
		Expect(r.series(versionRefusedMetric)).To(Equal(map[string]float64{"": 1}))
	})

	It("changes nothing while the settings name a version that an earlier release of the module installed and this one cannot install", func() {
		r := newVersionsRun("1.28", anIstiodDeployment("v1x28"), aMutatingWebhook(names.DefaultInjector, "istio.io/rev: v1x28", "d8-istio")).succeeds()
		Expect(r.ValuesGet(heldBackPath).String()).To(And(ContainSubstring("v1x28"), ContainSubstring("globalVersion"), ContainSubstring("choose 1.31, 1.30, 1.29")))
		Expect(r.events(versionRefusedEvent)).To(ConsistOf(ContainSubstring("choose 1.31, 1.30, 1.29")))

		By("and goes on when a person has chosen one that there is")
		r.ValuesSet(globalVersionPath, bridge.Version)
		Expect(r.succeeds().ValuesGet(heldBackPath).String()).To(BeEmpty())
		Expect(r.revisions()).To(Equal(bridge.Revision()))
	})

	It("warns of a version whose end of life is near or past, as long as it is installed", func() {
		r := newVersionsRun(bridge.Version)
		end := bridge.EndOfLife.At()
		Expect(r.succeeds().events(versionEndOfLifeEvent)).To(BeEmpty())
		Expect(r.series(versionEndOfLifeMetric, "version", "date")).To(Equal(map[string]float64{
			bridge.Version + " " + bridge.EndOfLife.String(): float64(end.Unix())}))

		r.clock = clockwork.NewFakeClockAt(end.AddDate(0, 0, -20))
		Expect(r.succeeds().events(versionEndOfLifeEvent)).To(ConsistOf(And(
			ContainSubstring("Istio "+bridge.Version+" reaches"), ContainSubstring(bridge.EndOfLife.String()), ContainSubstring("upgrade to 1.31"))))

		r.clock = clockwork.NewFakeClockAt(end.AddDate(0, 0, 20))
		Expect(r.succeeds().events(versionEndOfLifeEvent)).To(ContainElement(ContainSubstring("Istio " + bridge.Version + " reached")))
	})

	It("describes the patch versions of the images where they differ from the table", func() {
		r := newVersionsRun("1.29")
		r.ValuesSet(additionalVersionsPath, []string{"1.30"})
		r.ValuesSet(imagesContainPath, []string{"1.31.0", "1.29.1"})
		Expect(r.succeeds().ValuesGet(versionsPath).Raw).To(MatchJSON(`[
			{"version": "1.30", "revision": "v1x30", "fullVersion": "` + istioversion.All()[1].Full() + `", "imageSuffix": "V1x30", "restartOnReplacedKubeconfig": false},
			{"version": "1.29", "revision": "v1x29", "fullVersion": "1.29.1", "imageSuffix": "V1x29", "restartOnReplacedKubeconfig": true}]`))
	})

	It("reports what uses a revision that this release of the module cannot install", func() {
		r := newVersionsRun("", aNamespace("shop", "istio.io/rev: v1x19")).succeeds()
		Expect(r.revisions()).To(Equal("v1x31"))
		Expect(r.events(revisionUnavailableEvent)).To(ConsistOf(And(ContainSubstring("v1x19"), ContainSubstring("namespace shop"))))
		Expect(r.series(revisionUnavailableMetric, "revision")).To(Equal(map[string]float64{"v1x19": 1}))
	})

	It("reports deprecated versions and those that do not support this Kubernetes", func() {
		r := newVersionsRun("1.31")
		r.ValuesSet(additionalVersionsPath, []string{"1.29"})
		r.ValuesSet(kubernetesVersionPath, "1.36.3")
		r.succeeds()
		Expect(r.series(versionDeprecatedMetric, "version")).To(Equal(map[string]float64{"1.31": 0, "1.29": 1}))
		Expect(r.series(kubernetesMismatchMetric, "version", "kubernetes", "supported")).To(Equal(map[string]float64{
			"1.31 1.36.3 1.32–1.36": 0, "1.29 1.36.3 1.31–1.35": 1}))
		Expect(r.series(versionRefusedMetric)).To(Equal(map[string]float64{"": 0}))
	})

	DescribeTable("accepts any content of a Pod's annotation",
		func(status string) {
			r := newVersionsRun("1.31", aNamespace("shop", ""), aPod("shop", "web", "", "sidecar.istio.io/status: "+status), anIstiodDeployment("v1x30"))
			Expect(r.succeeds().revisions()).To(Equal("v1x31 v1x30"), "it may be in use")
			Expect(r.events(sidecarUnclearEvent)).To(ConsistOf(And(ContainSubstring("Istio 1.30"), ContainSubstring("namespace shop"))))
		},
		Entry("no JSON", `"{"`),
		Entry("a list", `"[]"`),
		Entry("a number for a revision", `'{"revision": 5}'`),
		Entry("no revision", `'{}'`),
	)

	It("does not log a warning every minute for what an Event reports", func() {
		r := newVersionsRun("1.28").succeeds()
		Expect(r.LoggerOutput().String()).To(And(ContainSubstring("there is no Istio 1.28"), Not(ContainSubstring(`"warn"`))))
	})

	It("continues without comparing when the version of Kubernetes cannot be read", func() {
		r := newVersionsRun("1.30")
		r.ValuesSet(kubernetesVersionPath, "unknown")
		Expect(r.succeeds().revisions()).To(Equal("v1x30"))
		Expect(r.series(versionDeprecatedMetric, "version")).To(HaveKey("1.30"))
		Expect(r.series(kubernetesMismatchMetric, "version")).To(BeEmpty())
		Expect(r.LoggerOutput().String()).To(ContainSubstring(kubernetesVersionPath))
	})
})
