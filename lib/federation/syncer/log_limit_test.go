package syncer

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestAnObjectIsNamedOnceForEachDifferentError(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c logLimit
	denied, full := errors.New("denied"), errors.New("quota exceeded")
	g.Expect(c.allow(nil, denied, now)).To(BeTrue())
	g.Expect(c.allow(denied, errors.New("denied"), now)).To(BeFalse(), "logged already")
	g.Expect(c.allow(denied, full, now)).To(BeTrue())
	g.Expect(c.allow(full, denied, now)).To(BeTrue())
}

func TestTheLogIsLimitedWhenEverythingIsRejected(t *testing.T) {
	g := NewWithT(t)
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c logLimit
	named, summaries := 0, 0
	for object := range 20_000 {
		now := start.Add(time.Duration(object) * time.Millisecond)
		if c.allow(nil, errors.New("denied"), now) {
			named++
		}
		if c.summaryDue(now) {
			summaries++
		}
	}
	g.Expect(named).To(Equal(maxNamed))
	g.Expect(summaries).To(BeZero(), "within the first minute those that are named are enough")

	denied := errors.New("denied")
	for minute := 1; minute <= 3; minute++ {
		for object := range 1_000 {
			now := start.Add(time.Duration(minute)*time.Minute + time.Duration(object)*time.Millisecond)
			g.Expect(c.allow(denied, denied, now)).To(BeFalse())
			if c.summaryDue(now) {
				summaries++
			}
		}
	}
	g.Expect(summaries).To(Equal(3), "one a minute")
}

func TestNoSummaryIsDueWithoutOmittedFailures(t *testing.T) {
	g := NewWithT(t)
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c logLimit
	g.Expect(c.allow(nil, errors.New("denied"), start)).To(BeTrue())
	g.Expect(c.summaryDue(start)).To(BeFalse())
	later := start.Add(2 * time.Minute)
	g.Expect(c.allow(nil, errors.New("denied"), later)).To(BeTrue())
	g.Expect(c.summaryDue(later)).To(BeFalse())
}
