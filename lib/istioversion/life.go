package istioversion

import (
	"encoding/json"
	"fmt"
	"time"
)

// Notice is how long before its end of life people are warned of a version:
// enough to move every namespace to another one.
const Notice = 30 * 24 * time.Hour

// Date is a day, in UTC.
type Date struct{ time.Time }

// UnmarshalJSON reads "2026-10-15", and nothing else.
func (d *Date) UnmarshalJSON(encoded []byte) error {
	var text string
	if err := json.Unmarshal(encoded, &text); err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return fmt.Errorf("a date is written 2006-01-02: %w", err)
	}
	d.Time = day
	return nil
}

// String is the date as it is written: "2026-10-15".
func (d Date) String() string { return d.Format(time.DateOnly) }

// EndOfLife is the end of a version's support by Istio's makers.
type EndOfLife struct {
	// Date is the last day with support.
	Date Date `json:"date"`
	// Estimated is true while the makers have announced none.
	Estimated bool `json:"estimated,omitempty"`
}

// At is the moment from which the version has no support any more.
func (e EndOfLife) At() time.Time { return e.Date.AddDate(0, 0, 1) }

// Past is true when the version has no more support.
func (e EndOfLife) Past(now time.Time) bool { return !now.Before(e.At()) }

// Near is true when the end is past or no further away than Notice.
func (e EndOfLife) Near(now time.Time) bool { return !now.Before(e.At().Add(-Notice)) }

// String is the date, with a word about one that is estimated: "2027-01-11 (estimated)".
func (e EndOfLife) String() string {
	if e.Estimated {
		return e.Date.String() + " (estimated)"
	}
	return e.Date.String()
}

// LifeWarning is what a person should know of the version's end of life and
// do about it; empty while the end is further away than Notice.
func (v Version) LifeWarning(now time.Time) string {
	var what string
	switch {
	case v.EndOfLife.Past(now):
		what = fmt.Sprintf("Istio %s reached its end of life on %s and gets no security fixes any more", v.Version, v.EndOfLife)
	case v.EndOfLife.Near(now):
		what = fmt.Sprintf("Istio %s reaches its end of life on %s and gets no security fixes after that", v.Version, v.EndOfLife)
	default:
		return ""
	}
	for _, other := range all {
		if !other.EndOfLife.Near(now) {
			return what + ": upgrade to " + other.Version
		}
	}
	return what + ": update the module, and then Istio"
}
