package hooks

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

var _ = Describe("The schedule of polls", func() {
	var (
		schedule pollSchedule
		resource v1alpha1.IstioFederation
		version  string
	)
	due := func(at time.Time) bool { return schedule.due(&resource, version, true, at) }
	BeforeEach(func() {
		schedule = pollSchedule{}
		resource, version = v1alpha1.IstioFederation{}, ""
		resource.UID, resource.Generation = "uid-b", 1
		resource.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Joined"}}
		Expect(due(now)).To(BeTrue(), "nothing is remembered yet")
		Expect(due(now)).To(BeFalse())
	})
	report := func(value string) { version = value }

	It("polls once for a reported version, an edit, and a new minute", func() {
		report("1")
		Expect(due(now)).To(BeTrue())
		Expect(due(now)).To(BeFalse())
		resource.Generation = 2
		Expect(due(now)).To(BeTrue())
		Expect(due(now)).To(BeFalse())
		Expect(due(now.Add(time.Minute))).To(BeTrue())
	})

	It("does not poll when a version is no longer reported, or the same is reported again", func() {
		report("1")
		Expect(due(now)).To(BeTrue())
		report("")
		Expect(due(now)).To(BeFalse())
		report("1")
		Expect(due(now)).To(BeFalse())
	})

	It("polls once for each new value of a person's annotation, also a slow peer", func() {
		refresh := func(value string) { resource.Annotations = map[string]string{v1alpha1.RefreshAnnotation: value} }
		refresh("1")
		Expect(due(now)).To(BeTrue())
		Expect(due(now)).To(BeFalse())
		schedule.noteWait(&resource, 2*time.Second, now)
		schedule.noteWait(&resource, 2*time.Second, now)
		refresh("2")
		Expect(due(now)).To(BeTrue())
		resource.Annotations = nil
		Expect(due(now)).To(BeFalse())
	})

	It("polls once when a person has confirmed an identity", func() {
		resource.Annotations = map[string]string{v1alpha1.AcceptIdentityAnnotation: "fingerprint"}
		Expect(due(now)).To(BeTrue())
		Expect(due(now)).To(BeFalse())
	})

	It("delays the changes of a peer that was slow twice by ten times as long, at most to the next minute", func() {
		wait := func(waited time.Duration) { schedule.noteWait(&resource, waited, now) }
		wait(2 * time.Second)
		report("1")
		Expect(due(now)).To(BeTrue(), "once may be the machine")
		wait(time.Millisecond)
		wait(2 * time.Second)
		report("2")
		Expect(due(now)).To(BeTrue(), "it is not twice in a row")
		wait(2 * time.Second)
		report("3")
		Expect(due(now)).To(BeFalse())
		Expect(due(now.Add(21 * time.Second))).To(BeFalse())
		Expect(due(now.Add(22 * time.Second))).To(BeTrue())
		Expect(due(now.Add(22 * time.Second))).To(BeFalse())
		wait(6 * time.Second)
		report("4")
		Expect(due(now.Add(45 * time.Second))).To(BeFalse())
		Expect(due(now.Add(time.Minute))).To(BeTrue(), "it is another minute")
		Expect(due(now.Add(time.Minute))).To(BeFalse())
		wait(time.Millisecond)
		report("5")
		Expect(due(now.Add(time.Minute))).To(BeTrue())
	})

	It("polls again while the snapshot does not have what was written", func() {
		written := resource
		written.Status.MetadataCache.PrivateETag = `"new"`
		schedule.noteStatus(&written, true)
		Expect(schedule.isStale(&resource)).To(BeTrue())
		Expect(due(now)).To(BeTrue())
		resource.Status = written.Status
		Expect(schedule.isStale(&resource)).To(BeFalse())
		Expect(due(now)).To(BeFalse())
	})

	It("considers a snapshot current until something is written", func() {
		resource.ResourceVersion = "7"
		Expect(schedule.isCurrent(&resource)).To(BeTrue())
		schedule.noteStatus(&resource, false)
		Expect(schedule.isCurrent(&resource)).To(BeTrue(), "nothing was written")
		schedule.noteStatus(&resource, true)
		Expect(schedule.isCurrent(&resource)).To(BeFalse(), "there is a later version, or the write has failed")
		resource.ResourceVersion = "8"
		Expect(schedule.isCurrent(&resource)).To(BeTrue())
		resource.Status.MetadataCache.PrivateETag = `"of the last answer but one"`
		Expect(schedule.isCurrent(&resource)).To(BeTrue())
		schedule.noteStatus(&resource, false)
		resource.Status.MetadataCache.PrivateETag = `"of another answer"`
		Expect(schedule.isCurrent(&resource)).To(BeFalse(), "it does not have the last status")
	})

	It("forgets deleted resources", func() {
		retainOnly(schedule, nil)
		Expect(schedule).To(BeEmpty())
	})
})
