// Package nudge marks what metadata-watcher writes of a peer's documents when a resource blames the peer, though the peer has
// just answered: the hook that polls it should do so again, and give it time.
package nudge

import (
	"regexp"
	"strconv"
	"time"
)

// marked is "<public>.<private>.<mark>": the versions of the peer's two documents, and a time in milliseconds to the base 36.
var marked = regexp.MustCompile(`^[^.]*\.[^.]*\.([0-9a-z]{1,11})$`)

// Value is what is written of the versions, "<public>.<private>", at that time. It differs from one of another millisecond.
func Value(versions string, at time.Time) string {
	return versions + "." + strconv.FormatInt(at.UnixMilli(), 36)
}

// Time returns when a nudge was written, and false for a value that is none.
func Time(value string) (at time.Time, nudged bool) {
	found := marked.FindStringSubmatch(value)
	if found == nil {
		return time.Time{}, false
	}
	milliseconds, err := strconv.ParseInt(found[1], 36, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(milliseconds), true
}
