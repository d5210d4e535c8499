package main

import (
	"testing"
	"time"
)

func TestAnOutcomeCountsWhenItLasts(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	answered := func(second int) call { return call{Ended: at(second), Status: 200} }
	rejected := func(second int) call { return call{Ended: at(second), Status: 503} }
	for name, test := range map[string]struct {
		history    []call
		answered   bool
		since      int
		first, all time.Time
	}{
		"rejected once and for all":                {[]call{answered(1), rejected(5)}, false, 2, at(5), at(5)},
		"a thread of the proxy that answers still": {[]call{answered(1), rejected(5), answered(6), rejected(7)}, false, 2, at(5), at(7)},
		"answered again":                           {[]call{rejected(5), answered(6)}, false, 2, at(5), time.Time{}},
		"an earlier one is not counted":            {[]call{rejected(1), answered(3), rejected(5)}, false, 2, at(5), at(5)},
		"answered since before":                    {[]call{answered(1)}, true, 2, time.Time{}, at(1)},
	} {
		t.Run(name, func(t *testing.T) {
			first, all := outcomes(test.history, test.answered, at(test.since))
			if !first.Equal(test.first) || !all.Equal(test.all) {
				t.Errorf("first %s, all %s", first, all)
			}
		})
	}
}
