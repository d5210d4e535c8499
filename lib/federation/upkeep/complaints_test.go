package upkeep

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestAnObjectIsNamedOnceForEachDifferentError(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c complaints
	denied, full := errors.New("denied"), errors.New("quota exceeded")
	g.Expect(c.name(nil, denied, now)).To(BeTrue())
	g.Expect(c.name(denied, errors.New("denied"), now)).To(BeFalse(), "said already")
	g.Expect(c.name(denied, full, now)).To(BeTrue())
	g.Expect(c.name(full, denied, now)).To(BeTrue())
}

func TestWhenEverythingIsRefusedTheLogStaysReadable(t *testing.T) {
	g := NewWithT(t)
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c complaints
	named, summaries := 0, 0
	for object := range 20_000 {
		now := start.Add(time.Duration(object) * time.Millisecond)
		if c.name(nil, errors.New("denied"), now) {
			named++
		}
		if c.sumUp(now) {
			summaries++
		}
	}
	g.Expect(named).To(Equal(maxNamed))
	g.Expect(summaries).To(BeZero(), "within the first minute those that are named are enough")

	denied := errors.New("denied")
	for minute := 1; minute <= 3; minute++ {
		for object := range 1_000 {
			now := start.Add(time.Duration(minute)*time.Minute + time.Duration(object)*time.Millisecond)
			g.Expect(c.name(denied, denied, now)).To(BeFalse())
			if c.sumUp(now) {
				summaries++
			}
		}
	}
	g.Expect(summaries).To(Equal(3), "one a minute")
}

func TestWithoutFailuresThatWereNotNamedThereIsNothingToSumUp(t *testing.T) {
	g := NewWithT(t)
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c complaints
	g.Expect(c.name(nil, errors.New("denied"), start)).To(BeTrue())
	g.Expect(c.sumUp(start)).To(BeFalse())
	later := start.Add(2 * time.Minute)
	g.Expect(c.name(nil, errors.New("denied"), later)).To(BeTrue())
	g.Expect(c.sumUp(later)).To(BeFalse())
}
