package hooks

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

var _ = Describe("What federation_discovery remembers of its visits", func() {
	var (
		memory   *visits
		resource v1alpha1.IstioFederation
		revision string
	)
	asked := func(at time.Time) bool {
		sight := federationKind(nil).sight(resource)
		sight.revision = revision
		return memory.due(sight, true, at)
	}
	BeforeEach(func() {
		memory = &visits{known: map[string]visitKey{}}
		resource, revision = v1alpha1.IstioFederation{}, ""
		resource.UID, resource.Generation = "uid-b", 1
		resource.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Joined"}}
		Expect(asked(now)).To(BeTrue(), "nothing is remembered yet")
		Expect(asked(now)).To(BeFalse())
	})
	poke := func(value string) { revision = value }

	It("asks once for a poke, an edit, and a new minute", func() {
		poke("1")
		Expect(asked(now)).To(BeTrue())
		Expect(asked(now)).To(BeFalse())
		resource.Generation = 2
		Expect(asked(now)).To(BeTrue())
		Expect(asked(now)).To(BeFalse())
		Expect(asked(now.Add(time.Minute))).To(BeTrue())
	})

	It("takes it for no news that something is not told any more, nor that the same is told again", func() {
		poke("1")
		Expect(asked(now)).To(BeTrue())
		poke("")
		Expect(asked(now)).To(BeFalse())
		poke("1")
		Expect(asked(now)).To(BeFalse())
	})

	It("asks once for each new value of a person's annotation, also of a peer that is slow", func() {
		refresh := func(value string) { resource.Annotations = map[string]string{v1alpha1.RefreshAnnotation: value} }
		refresh("1")
		Expect(asked(now)).To(BeTrue())
		Expect(asked(now)).To(BeFalse())
		memory.took(federationKind(nil).sight(resource), 2*time.Second)
		memory.took(federationKind(nil).sight(resource), 2*time.Second)
		refresh("2")
		Expect(asked(now)).To(BeTrue())
		resource.Annotations = nil
		Expect(asked(now)).To(BeFalse())
	})

	It("asks once when a person has confirmed an identity", func() {
		resource.Annotations = map[string]string{v1alpha1.AcceptIdentityAnnotation: "fingerprint"}
		Expect(asked(now)).To(BeTrue())
		Expect(asked(now)).To(BeFalse())
	})

	It("lets the news of a peer that is slow twice wait for the next minute", func() {
		took := func(waited time.Duration) { memory.took(federationKind(nil).sight(resource), waited) }
		took(2 * time.Second)
		poke("1")
		Expect(asked(now)).To(BeTrue(), "once may be the machine")
		took(time.Millisecond)
		took(2 * time.Second)
		poke("2")
		Expect(asked(now)).To(BeTrue(), "it is not twice in a row")
		took(2 * time.Second)
		poke("3")
		Expect(asked(now)).To(BeFalse())
		Expect(asked(now.Add(time.Minute))).To(BeTrue())
		Expect(asked(now.Add(time.Minute))).To(BeFalse())
		took(time.Millisecond)
		poke("4")
		Expect(asked(now.Add(time.Minute))).To(BeTrue())
	})

	It("asks again while the snapshot does not show what was written", func() {
		written := resource.Status
		written.MetadataCache.PrivateETag = `"new"`
		shown := resource
		shown.Status = written
		memory.shows(federationKind(nil).sight(shown), true)
		Expect(memory.stale(federationKind(nil).sight(resource))).To(BeTrue())
		Expect(asked(now)).To(BeTrue())
		resource.Status = written
		Expect(memory.stale(federationKind(nil).sight(resource))).To(BeFalse())
		Expect(asked(now)).To(BeFalse())
	})

	It("takes a snapshot for current until something is written", func() {
		sight := func() sighting { return federationKind(nil).sight(resource) }
		resource.ResourceVersion = "7"
		Expect(memory.current(sight())).To(BeTrue())
		memory.shows(sight(), false)
		Expect(memory.current(sight())).To(BeTrue(), "nothing was written")
		memory.shows(sight(), true)
		Expect(memory.current(sight())).To(BeFalse(), "there is a later version, or the write has failed")
		resource.ResourceVersion = "8"
		Expect(memory.current(sight())).To(BeTrue())
		resource.Status.MetadataCache.PrivateETag = `"of the last answer but one"`
		Expect(memory.current(sight())).To(BeTrue())
		memory.shows(sight(), false)
		resource.Status.MetadataCache.PrivateETag = `"of another answer"`
		Expect(memory.current(sight())).To(BeFalse(), "it does not show what was found last")
	})

	It("forgets resources that are gone", func() {
		memory.forgetOthers(nil)
		Expect(memory.known).To(BeEmpty())
	})
})

var _ = Describe("Hook federation_switch", func() {
	withReady := func(reason string) string {
		return aFederation("b", "api.shop") + `  conditions: [{type: Ready, status: "False", reason: ` + reason + `, message: m, lastTransitionTime: "2030-11-22T11:30:00Z"}]
`
	}

	It("says in every resource that federation is off, once", func() {
		r := newRun(federationSwitch(), joinedSettings).given(withReady("Joined"))
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		Expect(r.PatchedOperations()).To(HaveLen(2), "the status and an Event")
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
	})

	It("wakes the discovery of resources that were off, with the same word every time", func() {
		r := newRun(federationSwitch(), joinedSettings).given(withReady("ModuleDisabled"), revisionsOf("federation", nil)).succeeds()
		first := r.told("federation")
		Expect(first).To(HaveKeyWithValue("b", HavePrefix("switched-on.")))
		Expect(r.KubernetesGlobalResource("IstioFederation", "b").GetAnnotations()).To(BeEmpty())
		r.succeeds()
		Expect(r.told("federation")).To(Equal(first))
	})

	It("leaves what is written of other resources as it is", func() {
		r := newRun(federationSwitch(), joinedSettings).
			given(withReady("ModuleDisabled"), revisionsOf("federation", map[string]string{"c": "x.y"})).succeeds()
		Expect(r.told("federation")).To(And(HaveKeyWithValue("c", "x.y"), HaveKey("b")))
	})

	It("fails over nothing when there is no ConfigMap yet", func() {
		newRun(federationSwitch(), joinedSettings).given(withReady("ModuleDisabled")).succeeds()
	})

	It("does not try what the API server would refuse, which would fail the module's run", func() {
		for _, spoilt := range []string{"immutable: true\n", "binaryData: {b: aGVsbG8=}\n"} {
			Expect(newRun(federationSwitch(), joinedSettings).given(withReady("ModuleDisabled"), revisionsOf("federation", nil)+spoilt).
				succeeds().PatchedOperations()).To(BeEmpty())
		}
	})

	It("leaves resources alone that were asked already", func() {
		Expect(newRun(federationSwitch(), joinedSettings).given(withReady("PeerUnreachable")).succeeds().PatchedOperations()).To(BeEmpty())
	})
})
