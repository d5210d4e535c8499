package moduleconfig

import "strings"

const (
	// notApplied begins the message of settings that are accepted and with which the module cannot be run.
	notApplied = "Not applied, it is tried again and again: "
	// turnedOff begins the message of a module that stays off by its own decision.
	turnedOff = "Off: "
	// reasonNotApplied is the reason of the Warning Event that says so.
	reasonNotApplied = "SettingsNotApplied"
)

// Run is the state of a module with the settings in force.
type Run struct {
	// Settled is true when the latest run succeeded and no other is pending.
	Settled bool
	// Err is why the latest run failed; nil when it did not.
	Err error
	// Failures counts the runs that have failed.
	Failures int
}

// outcome is whether a module's settings could be applied.
type outcome struct {
	last look
	// proven is the announced spec, as JSON, with which a run of the module has succeeded.
	proven string
	// failure is why runs with the spec failed fail; empty when they do not.
	failure, failed string
	// off is why the module stays off although it is switched on.
	off string
	// failures is Run.Failures, failedSpec the spec in force when the latest of them was new.
	failures   int
	failedSpec string
}

// look is the state of a module at one time.
type look struct {
	spec             string
	running, settled bool
	failure          string
}

// look observes the state of the module and returns whether the outcome has changed. It relies only
// on a state that it sees twice in a row: between the settings and the run with them there
// is a moment in which the former run counts.
func (b *Backend) look(name string) bool {
	known := b.outcomes[name]
	after := known
	seen := look{spec: fingerprint(b.announced[name])}
	_, seen.running = b.InForce(name)
	if seen.running {
		run := b.LatestRun(name)
		inForce := !b.differs(name)
		// Until the first run with new settings has ended, the error is that of the former run.
		if run.Failures != known.failures {
			after.failures, after.failedSpec = run.Failures, ""
			if inForce {
				after.failedSpec = seen.spec
			}
		}
		seen.settled = inForce && run.Settled && run.Err == nil
		if inForce && run.Err != nil && after.failedSpec == seen.spec {
			seen.failure = sentence(run.Err)
		}
	}
	after.last = seen
	after.off = b.TurnedOff(name)
	if seen == known.last {
		switch {
		case seen.settled:
			after.proven, after.failure = seen.spec, ""
		case seen.failure != "":
			after.failure, after.failed = seen.failure, seen.spec
		case !seen.running:
			after.failure = ""
		}
	}
	b.outcomes[name] = after
	return after.proven != known.proven || after.failure != known.failure || after.failed != known.failed || after.off != known.off
}

// sentence is an error of addon-operator in one line, without its own words.
func sentence(err error) string {
	text := strings.TrimPrefix(err.Error(), "run helm install: ")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// unapplied is the status message for settings that are accepted; empty when
// they are applied. The current message stays until a run has shown the contrary.
func (b *Backend) unapplied(name string, effective Spec, current string) string {
	known := b.outcomes[name]
	switch {
	case name == GlobalName, effective.isOff():
		return ""
	case known.off != "" && effective.Enabled != nil:
		return turnedOff + known.off
	case known.failure != "" && known.failed == fingerprint(effective):
		return notApplied + known.failure
	case known.proven == fingerprint(effective), !strings.HasPrefix(current, notApplied):
		return ""
	default:
		return current
	}
}

// mayRetain is true for a spec that may replace stored as the one to fall back to:
// when the module has been run with it. There is no run for the global settings
// nor for a module that is off, and unproven settings are better than none:
// without any, the first mistake would switch the module off.
func (b *Backend) mayRetain(name string, spec, stored *Spec) bool {
	return name == GlobalName || spec == nil || stored == nil || spec.isOff() || b.outcomes[name].proven == fingerprint(*spec)
}
