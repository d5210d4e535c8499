package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// noon of the day on which the tests take place.
var noon = time.Date(2026, time.November, 29, 12, 0, 0, 0, time.UTC)

func day(text string) time.Time {
	parsed, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return parsed
}

func aRow(version, endOfLife string) row {
	ours, ok := parseRelease(version)
	if !ok {
		panic(version)
	}
	return row{ours, istioversion.EndOfLife{Date: istioversion.Date{Time: day(endOfLife)}}}
}

// datesOf dates releases as "1.31.3=2026-11-20".
func datesOf(tags ...string) (releases, map[release]time.Time) {
	var names []string
	dates := map[release]time.Time{}
	for _, tag := range tags {
		name, made, _ := strings.Cut(tag, "=")
		names = append(names, name)
		if r, ok := parseRelease(name); ok {
			dates[r] = day(made)
		}
	}
	return releasesOf(names), dates
}

func TestTheVerdictOnAMinor(t *testing.T) {
	estimated := aRow("1.31.3", "2026-11-28")
	estimated.endOfLife.Estimated = true
	for name, test := range map[string]struct {
		row      row
		upstream []string
		want     string
		status   int
	}{
		"the newest patch far from its end needs nothing": {
			aRow("1.31.3", "2027-05-31"), []string{"1.31.2=2026-10-20", "1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2027-05-31, in 183 days|nothing", statusCurrent},
		"a newer patch is to be adopted": {
			aRow("1.31.2", "2027-05-31"), []string{"1.31.2=2026-10-20", "1.31.3=2026-11-20"},
			"1.31.2 1.31.3 2026-11-20|1 patch, 9 days|2027-05-31, in 183 days|set patch to 3", statusBehind},
		"several missing patches count from the date of the first": {
			aRow("1.31.0", "2027-05-31"), []string{"1.31.0=2026-08-27", "1.31.1=2026-09-29", "1.31.2=2026-10-20", "1.31.10=2026-11-20"},
			"1.31.0 1.31.10 2026-11-20|3 patches, 61 days|2027-05-31, in 183 days|set patch to 10", statusBehind},
		"a patch of today is behind by no day": {
			aRow("1.31.2", "2027-05-31"), []string{"1.31.3=2026-11-29"},
			"1.31.2 1.31.3 2026-11-29|1 patch, 0 days|2027-05-31, in 183 days|set patch to 3", statusBehind},
		"a date in the future is not counted below zero": {
			aRow("1.31.2", "2027-05-31"), []string{"1.31.3=2026-12-24"},
			"1.31.2 1.31.3 2026-12-24|1 patch, 0 days|2027-05-31, in 183 days|set patch to 3", statusBehind},
		"with more than 30 days of support left a minor is not near its end": {
			aRow("1.31.3", "2026-12-29"), []string{"1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2026-12-29, in 30 days|nothing", statusCurrent},
		"with less it is": {
			aRow("1.31.3", "2026-12-28"), []string{"1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2026-12-28, in 29 days|near its end: prepare to drop it", statusCurrent},
		"the last day still belongs to its life": {
			aRow("1.31.3", "2026-11-29"), []string{"1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2026-11-29, today|near its end: prepare to drop it", statusCurrent},
		"the day after it is past": {
			aRow("1.31.3", "2026-11-28"), []string{"1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2026-11-28, 1 day ago|past its end: drop it", statusBehind},
		"an estimated end is to be looked up": {
			estimated, []string{"1.31.3=2026-11-20"},
			"1.31.3 1.31.3 2026-11-20|-|2026-11-28 (estimated), 1 day ago|past its estimated end: look up the announced date, or drop it", statusBehind},
		"behind and past its end are two things to do": {
			aRow("1.31.2", "2026-11-28"), []string{"1.31.3=2026-11-20"},
			"1.31.2 1.31.3 2026-11-20|1 patch, 9 days|2026-11-28, 1 day ago|set patch to 3; past its end: drop it", statusBehind},
		"a release that upstream does not know cannot be compared": {
			aRow("1.31.4", "2027-05-31"), []string{"1.31.3=2026-11-20"},
			"1.31.4 1.31.3 2026-11-20|-|2027-05-31, in 183 days|1.31.4 is no tag upstream: correct the table, or name a repository that is up to date", statusTrouble},
		"neither can a minor without releases, and past its end it remains": {
			aRow("1.31.0", "2026-11-28"), []string{"1.30.0=2026-05-01", "1.31.0-rc.1=2026-08-01"},
			"1.31.0 - -|-|2026-11-28, 1 day ago|1.31.0 is no tag upstream: correct the table, or name a repository that is up to date; past its end: drop it", statusBehind},
	} {
		t.Run(name, func(t *testing.T) {
			upstream, dates := datesOf(test.upstream...)
			findings := judge([]row{test.row}, upstream, dates, noon)
			f := findings[0]
			got := fmt.Sprintf("%s %s %s|%s|%s|%s", f.ours(), f.newestText(), date(f.released), f.behindText(), f.endText(), f.todo())
			if got != test.want {
				t.Errorf("reported\n%s, want\n%s", got, test.want)
			}
			if status, _ := conclude(findings); status != test.status {
				t.Errorf("the status is %d, want %d", status, test.status)
			}
		})
	}
}

func TestNewerMinorsAreListedFirstAndAreNoFault(t *testing.T) {
	upstream, dates := datesOf("1.33.0=2026-11-28", "1.32.1=2026-11-27", "1.31.3=2026-11-20", "1.30.7=2026-11-19", "1.28.0=2025-11-01", "1.34.0-rc.0=2026-11-28")
	table := []row{aRow("1.30.7", "2027-02-28"), aRow("1.31.3", "2027-05-31")}

	findings := judge(table, upstream, dates, noon)
	var got []string
	for _, f := range findings {
		got = append(got, f.minor.String()+" "+f.todo())
	}
	const addIt = "new: decide whether to add it"
	if want := "1.33 " + addIt + ", 1.32 " + addIt + ", 1.31 nothing, 1.30 nothing"; strings.Join(got, ", ") != want {
		t.Errorf("reported %s, want %s", strings.Join(got, ", "), want)
	}
	if status, summary := conclude(findings); status != statusCurrent || summary != "" {
		t.Errorf("the status is %d: %s", status, summary)
	}
}

func TestTheConclusionNamesMinorsAndPutsKnownProblemsFirst(t *testing.T) {
	upstream, dates := datesOf("1.31.3=2026-11-20", "1.30.7=2026-11-19", "1.29.9=2026-10-01")
	status, summary := conclude(judge([]row{
		aRow("1.31.4", "2027-05-31"), aRow("1.30.6", "2027-02-28"), aRow("1.29.1", "2026-10-31"),
	}, upstream, dates, noon))
	if want := "behind: 1.30, 1.29; past the end of life: 1.29; cannot be compared: 1.31"; status != statusBehind || summary != want {
		t.Errorf("status %d: %s, want %s", status, summary, want)
	}
}

func TestOnlyDatesThatAreShownAreWanted(t *testing.T) {
	upstream, _ := datesOf("1.32.0=2026-11-28", "1.31.3=2026-11-20", "1.31.2=2026-11-02", "1.30.7=2026-11-19", "1.30.6=2026-11-01", "1.30.5=2026-10-01")
	got := wanted([]row{aRow("1.31.2", "2027-05-31"), aRow("1.30.4", "2027-02-28"), aRow("1.28.0", "2026-05-01")}, upstream)
	if want := "[1.32.0 1.31.3 1.30.7 1.30.5]"; fmt.Sprint(got) != want {
		t.Errorf("wanted are the dates of %s, want %s", got, want)
	}
}

func TestDaysAreThoseOfUTC(t *testing.T) {
	west := time.FixedZone("west", -8*60*60)
	for name, test := range map[string]struct {
		from, to time.Time
		want     int
	}{
		"from one minute before midnight to one after": {day("2026-11-29").Add(-time.Minute), day("2026-11-29").Add(time.Minute), 1},
		"within a day": {day("2026-11-29"), day("2026-11-29").Add(23 * time.Hour), 0},
		"back in time": {noon, day("2026-11-28"), -1},
		"an evening west of Europe is the next day": {time.Date(2026, time.November, 28, 20, 0, 0, 0, west), noon, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := daysBetween(test.from, test.to); got != test.want {
				t.Errorf("%d days, want %d", got, test.want)
			}
		})
	}
}
