package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/names"
)

var _ = Describe("Hook istiod_health", func() {
	newHealthRun := func(objects ...string) *run {
		GinkgoHelper()
		return newRun(istiodHealth(), installedVersions).given(objects...)
	}
	expectWebhooks := func(r *run, revisions, defaultRevision string) {
		GinkgoHelper()
		Expect(r.ValuesGet(webhookRevisionsPath).Raw).To(MatchJSON(revisions))
		Expect(r.ValuesGet(defaultRevisionPath).String()).To(Equal(defaultRevision))
	}
	const (
		ownWebhook     = "istio-sidecar-injector-v1x30-d8-istio"
		revisionLabels = "istio.io/rev: v1x30"
	)

	It("points nothing to an istiod that has never been ready", func() {
		expectWebhooks(newHealthRun(anIstiod("v1x31", false)).succeeds(), `[]`, "")
	})

	It("points webhooks to an istiod as soon as it is ready", func() {
		r := newHealthRun(anIstiod("v1x31", false)).succeeds()
		expectWebhooks(r.given(anIstiod("v1x31", true)).succeeds(), `["v1x31"]`, "v1x31")
	})

	It("does not move webhooks when istiod is deleted", func() {
		r := newHealthRun(anIstiod("v1x31", true)).succeeds()
		expectWebhooks(r.given(anIstiod("v1x31", false)).succeeds(), `["v1x31"]`, "v1x31")
		expectWebhooks(r.given().succeeds(), `["v1x31"]`, "v1x31")
	})

	It("moves the default revision when the one of the settings is ready, and not before", func() {
		r := newHealthRun(anIstiod("v1x30", true), aMutatingWebhook(names.DefaultInjector, revisionLabels, "d8-istio")).succeeds()
		expectWebhooks(r, `["v1x30"]`, "v1x30")
		expectWebhooks(r.given(anIstiod("v1x30", true), anIstiod("v1x31", true)).succeeds(), `["v1x31", "v1x30"]`, "v1x31")
	})

	It("finds the last process's decision after a restart of the operator", func() {
		r := newHealthRun(aMutatingWebhook(ownWebhook, revisionLabels, "d8-istio"), aMutatingWebhook(names.DefaultInjector, revisionLabels, "d8-istio"))
		expectWebhooks(r.succeeds(), `["v1x30"]`, "v1x30")
	})

	It("distinguishes webhooks of another Istio from the module's", func() {
		expectWebhooks(newHealthRun(aMutatingWebhook("istio-sidecar-injector-v1x30", revisionLabels, "istio-system")).succeeds(), `[]`, "")
	})

	It("does not follow another Istio's default webhooks", func() {
		expectWebhooks(newHealthRun(aMutatingWebhook(names.DefaultInjector, revisionLabels, "istio-system")).succeeds(), `[]`, "")
	})

	It("points nothing to a revision that is not installed any more", func() {
		r := newHealthRun(aMutatingWebhook(ownWebhook, revisionLabels, "d8-istio"), aMutatingWebhook(names.DefaultInjector, revisionLabels, "d8-istio"))
		r.ValuesSet(versionsPath, []installedVersion{{"1.31", "v1x31", "1.31.3", "V1x31", false}})
		expectWebhooks(r.succeeds(), `[]`, "")
	})

	It("does not count an istiod that is being deleted", func() {
		r := newHealthRun(`
apiVersion: v1
kind: Pod
metadata: {namespace: d8-istio, name: istiod-0, labels: {app: istiod, istio.io/rev: v1x31}, deletionTimestamp: "2030-11-22T12:00:00Z", finalizers: [example.com/wait]}
status: {conditions: [{type: Ready, status: "True"}]}
`)
		expectWebhooks(r.succeeds(), `[]`, "")
	})

	It("reports every revision", func() {
		r := newHealthRun(anIstiod("v1x31", true)).succeeds()
		Expect(r.series(istiodReadyMetric, "revision", "version")).To(Equal(map[string]float64{"v1x31 1.31": 1, "v1x30 1.30": 0}))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})
})
