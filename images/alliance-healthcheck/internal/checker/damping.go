package checker

import "github.com/deckhouse-mesh/istio/lib/healthcheck"

// damped is what is reported of one target. An answer is reported at once, a
// failure when the next call fails, too, and another failure when it is found twice:
// one lost packet must not raise an alarm, and a cure must be seen.
type damped struct {
	// reported holds; its Reason is empty before anything is known.
	reported healthcheck.Result
	// pending is what the last call found, where that is not reported.
	pending *healthcheck.Result
}

// note takes over what a call found, and returns whether the report changes.
func (d *damped) note(found healthcheck.Result) (changed bool) {
	last := d.pending
	d.pending = nil
	switch {
	case found == d.reported:
		return false
	case found.Answers():
	case last == nil, d.reported.Failed() && *last != found:
		d.pending = &found
		return false
	}
	d.reported = found
	return true
}

// uncertain is true when the next call decides, and should be made soon.
func (d *damped) uncertain() bool { return d.pending != nil }
