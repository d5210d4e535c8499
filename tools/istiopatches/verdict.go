package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// row is what the module's table says of one minor.
type row struct {
	// ours is the release that is run.
	ours release
	// endOfLife decides what is near and past here as in the clusters' alerts.
	endOfLife istioversion.EndOfLife
}

// finding is what is known of one minor, of the table or newer than it.
type finding struct {
	minor minor
	// row is nil for a minor that the table does not have.
	row *row
	// newest release upstream and its date; nil when there is none.
	newest   *release
	released time.Time
	// missing is the number of patches that upstream has and the table has not;
	// lateDays counts the days since the first of them.
	missing, lateDays int
	// daysLeft to the last day with support; negative when that is past.
	daysLeft    int
	near, ended bool
}

// haveAny is false for a repository of something else than Istio, or one without the table's minors.
func (r releases) haveAny(table []row) bool {
	return slices.ContainsFunc(table, func(known row) bool { return len(r[known.ours.minor]) > 0 })
}

// wanted lists the releases whose dates the findings need.
func wanted(table []row, upstream releases) []release {
	var out []release
	for _, m := range minors(table, upstream) {
		if newest, ok := upstream.newest(m); ok {
			out = append(out, newest)
		}
	}
	for _, r := range table {
		if after := upstream.after(r.ours); len(after) > 1 {
			out = append(out, after[0])
		}
	}
	return out
}

// minors lists those that are reported, newest first: the table's, and upstream's newer than all of it.
func minors(table []row, upstream releases) []minor {
	var known []minor
	for _, r := range table {
		known = append(known, r.ours.minor)
	}
	if len(known) == 0 {
		return nil
	}
	slices.SortFunc(known, newestFirst)
	return append(upstream.minorsNewerThan(known[0]), known...)
}

// judge compares the table with upstream's releases.
func judge(table []row, upstream releases, dates map[release]time.Time, now time.Time) []finding {
	var out []finding
	for _, m := range minors(table, upstream) {
		found := finding{minor: m}
		if newest, ok := upstream.newest(m); ok {
			found.newest, found.released = &newest, dates[newest]
		}
		if at := slices.IndexFunc(table, func(r row) bool { return r.ours.minor == m }); at >= 0 {
			found.fill(&table[at], upstream, dates, now)
		}
		out = append(out, found)
	}
	return out
}

// fill adds what the table's row of the minor comes to.
func (f *finding) fill(r *row, upstream releases, dates map[release]time.Time, now time.Time) {
	f.row = r
	if after := upstream.after(r.ours); len(after) > 0 {
		f.missing, f.lateDays = len(after), max(0, daysBetween(dates[after[0]], now))
	}
	f.daysLeft = daysBetween(now, r.endOfLife.Date.Time)
	f.near, f.ended = r.endOfLife.Near(now), r.endOfLife.Past(now)
}

// daysBetween counts midnights of UTC, in which the table's dates are meant.
func daysBetween(from, to time.Time) int {
	return int(to.UTC().Truncate(24*time.Hour).Sub(from.UTC().Truncate(24*time.Hour)) / (24 * time.Hour))
}

// unknown is true when upstream does not have the release that is run, nor a
// newer one: whether it is current cannot be determined.
func (f finding) unknown() bool {
	return f.row != nil && f.missing == 0 && (f.newest == nil || *f.newest != f.row.ours)
}

func (f finding) behind() bool { return f.missing > 0 }

// todo says what a person has to do about the minor.
func (f finding) todo() string {
	var steps []string
	switch {
	case f.row == nil:
		steps = append(steps, "new: decide whether to add it")
	case f.unknown():
		steps = append(steps, fmt.Sprintf("%s is no tag upstream: correct the table, or name a repository that is up to date", f.row.ours))
	case f.behind():
		steps = append(steps, fmt.Sprintf("set patch to %d", f.newest.patch))
	}
	switch {
	case f.ended && f.row.endOfLife.Estimated:
		steps = append(steps, "past its estimated end: look up the announced date, or drop it")
	case f.ended:
		steps = append(steps, "past its end: drop it")
	case f.near:
		steps = append(steps, "near its end: prepare to drop it")
	}
	if len(steps) == 0 {
		return "nothing"
	}
	return strings.Join(steps, "; ")
}
