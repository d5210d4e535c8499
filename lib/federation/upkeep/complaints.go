package upkeep

import "time"

const (
	// maxNamed is how many objects are named in the log in a complaintPeriod; when
	// everything is refused, twenty say as much as twenty thousand.
	maxNamed        = 20
	complaintPeriod = time.Minute
)

// complaints keeps the log readable when many objects cannot be written. An
// object is named once for each different error, up to maxNamed a period; of all
// that is not named, one summary a period tells. The zero value has said nothing.
type complaints struct {
	// since is when the period began; named is how many objects were named in it.
	since time.Time
	named int
	// untold is true when a failure was neither named nor summed up.
	untold bool
}

// name returns whether an object is to be named whose attempt failed with err,
// and the attempt before, unless nil, with before.
func (c *complaints) name(before, err error, now time.Time) bool {
	if c.since.IsZero() {
		c.since = now
	}
	if c.named >= maxNamed || before != nil && before.Error() == err.Error() {
		c.untold = true
		return false
	}
	c.named++
	return true
}

// sumUp returns whether a summary is due: a period is over in which not all was told.
func (c *complaints) sumUp(now time.Time) bool {
	if now.Sub(c.since) < complaintPeriod {
		return false
	}
	due := c.untold
	*c = complaints{since: now}
	return due
}
