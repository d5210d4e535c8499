package moduleconfig

import (
	"fmt"
	"strings"
)

const (
	// notApplied begins the message of settings that are accepted and that the module cannot be run with.
	notApplied = "Not applied, it is tried again and again: "
	// reasonNotApplied is the reason of the Warning Event that says so.
	reasonNotApplied = "SettingsNotApplied"
)

// Run is how a module fares with the settings in force.
type Run struct {
	// Settled is true when the latest run succeeded and no other is pending.
	Settled bool
	// Err is why the latest run failed; nil when it did not.
	Err error
}

// outcome is what became of a module's settings.
type outcome struct {
	last look
	// proven is the announced spec, as JSON, with which a run of the module has succeeded.
	proven string
	// failure is why runs with the spec failed fail; empty when they do not.
	failure, failed string
	// err is the latest run's error, errSpec the spec in force when it was new.
	err     error
	errSpec string
}

// look is what was to be seen of a module at one time.
type look struct {
	spec             string
	running, settled bool
	failure          string
}

// look looks how the module fares and tells whether there is news. It believes
// what it sees twice in a row: between the settings and the run with them there
// is a moment in which the run before counts.
func (b *Backend) look(name string) bool {
	known := b.outcomes[name]
	after := known
	seen := look{spec: b.announced[name]}
	_, seen.running = b.InForce(name)
	if seen.running {
		run := b.LatestRun(name)
		inForce := !b.differs(name)
		// Until the first run with new settings has ended, the error is that of the run before.
		if !same(run.Err, known.err) {
			after.err, after.errSpec = run.Err, ""
			if inForce {
				after.errSpec = seen.spec
			}
		}
		seen.settled = inForce && run.Settled && run.Err == nil
		if inForce && run.Err != nil && after.errSpec == seen.spec {
			seen.failure = sentence(run.Err)
		}
	}
	after.last = seen
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
	return after.proven != known.proven || after.failure != known.failure || after.failed != known.failed
}

// same tells whether both are one and the same error, not only of the same text.
func same(a, b error) bool { return fmt.Sprintf("%p", a) == fmt.Sprintf("%p", b) }

// sentence is an error of addon-operator in one line, without its own words.
func sentence(err error) string {
	text := strings.TrimPrefix(err.Error(), "run helm install: ")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// unapplied is what the status says of settings that are accepted; empty when
// they are applied. What it said before stays until a run has shown the contrary.
func (b *Backend) unapplied(name string, effective Spec, current string) string {
	known := b.outcomes[name]
	switch {
	case name == GlobalName, effective.isOff():
		return ""
	case known.failure != "" && known.failed == fingerprint(effective):
		return notApplied + known.failure
	case known.proven == fingerprint(effective), !strings.HasPrefix(current, notApplied):
		return ""
	default:
		return current
	}
}

// mayKeep tells whether spec may be kept to fall back to in place of stored:
// when the module has been run with it. There is no run for the global settings
// nor for a module that is off, and unproven settings are better than none:
// without any, the first mistake would switch the module off.
func (b *Backend) mayKeep(name string, spec, stored *Spec) bool {
	return name == GlobalName || spec == nil || stored == nil || spec.isOff() || b.outcomes[name].proven == fingerprint(*spec)
}
