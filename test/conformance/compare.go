package main

import (
	"fmt"
	"maps"
	"slices"
)

// compare returns how results deviate from a list, in words.
func compare(list []entry, found results) []string {
	var deviations []string
	ran, skipped := map[string]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		expected := entryOf(list, name)
		if expected == nil {
			deviations = append(deviations, fmt.Sprintf("%s: is not listed (result: %s)", name, found[name]))
			continue
		}
		if deviation := expected.judge(name, found[name]); deviation != "" {
			deviations = append(deviations, deviation)
		}
		if found[name] == skip {
			skipped[expected.Test]++
		} else {
			ran[expected.Test]++
		}
	}
	for _, expected := range list {
		deviations = append(deviations, expected.count(ran[expected.Test], skipped[expected.Test])...)
	}
	return deviations
}

// count compares how many tests ran and were skipped with what is expected.
func (e entry) count(ran, skipped int) []string {
	var deviations []string
	if e.Expect == notApplicable {
		return nil
	}
	if ran != e.Tests {
		deviations = append(deviations, fmt.Sprintf("%s: %d tests ran, %d are listed", e.Test, ran, e.Tests))
	}
	if e.Skipped != 0 && skipped != e.Skipped {
		deviations = append(deviations, fmt.Sprintf("%s: the suite skipped %d tests, %d are listed as skipped", e.Test, skipped, e.Skipped))
	}
	return deviations
}

// entryOf is the closest entry that covers the test: its own, or that of the test it is part of. nil: none does.
func entryOf(list []entry, test string) *entry {
	var closest *entry
	for i := range list {
		if list[i].covers(test) && (closest == nil || len(list[i].Test) > len(closest.Test)) {
			closest = &list[i]
		}
	}
	return closest
}

// judge returns how the result of a test deviates from what is expected; empty when it does not.
func (e entry) judge(name string, found verdict) string {
	switch {
	case e.Expect == string(found), found == skip && (e.Expect == notApplicable || e.Skipped != 0):
		return ""
	case e.Expect == notApplicable:
		return fmt.Sprintf("%s: %s, and is listed as not applicable (%s): list it by its result", name, found, e.Reason)
	case e.Expect == string(fail) && found == pass:
		return name + ": passes, and is listed as failing: list it as passing"
	}
	return fmt.Sprintf("%s: %s, listed as %s", name, found, e.Expect)
}
