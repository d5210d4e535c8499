package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook federation_switch", func() {
	withReady := func(reason string) string {
		return aFederation("b", "api.shop") + `  conditions: [{type: Ready, status: "False", reason: ` + reason + `, message: m, lastTransitionTime: "2030-11-22T11:30:00Z"}]
`
	}

	It("reports once in every resource that federation is off", func() {
		r := newRun(federationSwitch(), federationSettings).given(withReady("Joined"))
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		Expect(r.statusWrites()).To(HaveLen(1))
		Expect(r.eventsOf("IstioFederation", "FederationDisabled")).To(HaveLen(1))
		Expect(r.succeeds().statusWrites()).To(BeEmpty())
		Expect(r.eventsOf("IstioFederation", "FederationDisabled")).To(HaveLen(1))
	})

	It("wakes the discovery of resources that were off, with the same value every time", func() {
		r := newRun(federationSwitch(), federationSettings).given(withReady("ModuleDisabled"), versionsConfigMap("federation", nil)).succeeds()
		first := r.reported("federation")
		Expect(first).To(HaveKeyWithValue("b", HavePrefix("switched-on.")))
		Expect(r.KubernetesGlobalResource("IstioFederation", "b").GetAnnotations()).To(BeEmpty())
		r.succeeds()
		Expect(r.reported("federation")).To(Equal(first))
	})

	It("does not change the entries of other resources", func() {
		r := newRun(federationSwitch(), federationSettings).
			given(withReady("ModuleDisabled"), versionsConfigMap("federation", map[string]string{"c": "x.y"})).succeeds()
		Expect(r.reported("federation")).To(And(HaveKeyWithValue("c", "x.y"), HaveKey("b")))
	})

	It("does not fail when the ConfigMap does not exist yet", func() {
		newRun(federationSwitch(), federationSettings).given(withReady("ModuleDisabled")).succeeds()
	})

	It("writes nothing that the API server would reject, which would fail the module's run", func() {
		for _, unwritable := range []string{"immutable: true\n", "binaryData: {b: aGVsbG8=}\n"} {
			Expect(newRun(federationSwitch(), federationSettings).given(withReady("ModuleDisabled"), versionsConfigMap("federation", nil)+unwritable).
				succeeds().PatchedOperations()).To(BeEmpty())
		}
	})

	It("ignores resources that were polled already", func() {
		Expect(newRun(federationSwitch(), federationSettings).given(withReady("PeerUnreachable")).succeeds().PatchedOperations()).To(BeEmpty())
	})
})
