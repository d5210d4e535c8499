package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// judge fails for each vulnerability that is not accepted, and for each
// acceptance of one that is no longer found: nobody should read, or rely on, a
// reason that no longer holds.
func judge(found map[string]Vulnerability, accepted []Accepted) error {
	unjudged := maps.Clone(found)
	var errs []error
	for _, entry := range accepted {
		if _, ok := found[entry.ID]; !ok {
			errs = append(errs, fmt.Errorf("%s is no longer found: remove it from %s", entry.ID, acceptedFile))
		}
		delete(unjudged, entry.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(unjudged)) {
		errs = append(errs, unjudged[id].problem())
	}
	return errors.Join(errs...)
}

func (v Vulnerability) problem() error {
	cure := "no version mends it: remove the call, or give the reason why it does no harm in " + acceptedFile
	if v.FixedIn != "" {
		cure = "take " + v.FixedIn
	}
	return fmt.Errorf("%s in %s %s: %s\n  %s calls %s\n  %s\n  https://pkg.go.dev/vuln/%s", v.ID, v.Module, v.Version, v.Summary, v.By, v.Called, cure, v.ID)
}
