package syncer

import "time"

const (
	// maxNamed is how many objects are named in the log in a logPeriod; when
	// everything is rejected, twenty say as much as twenty thousand.
	maxNamed  = 20
	logPeriod = time.Minute
)

// logLimit limits the log when many objects cannot be written. An object is
// named once for each different error, up to maxNamed a period; one summary a period
// counts all others. The zero value has logged nothing.
type logLimit struct {
	// since is when the period began; named is how many objects were named in it.
	since time.Time
	named int
	// omitted is true when a failure was neither named nor summed up.
	omitted bool
}

// allow returns whether to name an object whose attempt failed with err, and
// whose last attempt, unless nil, failed with before.
func (l *logLimit) allow(before, err error, now time.Time) bool {
	if l.since.IsZero() {
		l.since = now
	}
	if l.named >= maxNamed || before != nil && before.Error() == err.Error() {
		l.omitted = true
		return false
	}
	l.named++
	return true
}

// summaryDue returns whether a summary is due: a period has ended in which failures were omitted.
func (l *logLimit) summaryDue(now time.Time) bool {
	if now.Sub(l.since) < logPeriod {
		return false
	}
	due := l.omitted
	*l = logLimit{since: now}
	return due
}
