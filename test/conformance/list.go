package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// entry of a list: what is expected of a test, or of all tests below it that have no entry of their own.
type entry struct {
	// Test is its full name, such as TestAuthz_JWT or TestTraffic/virtualservice.
	Test string `json:"test"`
	// Expect is pass, fail or "not applicable".
	Expect string `json:"expect"`
	// Tests is how many tests of that verdict there are; 1 when it is left out. Not counted where they are not applicable.
	Tests int `json:"tests,omitempty"`
	// Skipped is how many more there are that the suite skips, for the reason.
	Skipped int `json:"skipped,omitempty"`
	// Reason why it fails, is not applicable, or why the suite skips some.
	Reason string `json:"reason,omitempty"`
	// Baseline is what Istio by its own chart, with the same Envoy, does where this fails: fail, or the list is not valid.
	Baseline string `json:"baseline,omitempty"`
}

const notApplicable = "not applicable"

// readList reads a committed list and checks it: the module may fail nothing that the baseline passes.
func readList(file string) ([]entry, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the list of expected results: %w", err)
	}
	var list struct {
		Tests []entry `json:"tests"`
	}
	if err := yaml.UnmarshalStrict(content, &list); err != nil {
		return nil, fmt.Errorf("read the list %s: %w", file, err)
	}
	seen := map[string]bool{}
	for i, one := range list.Tests {
		if err := one.check(); err != nil {
			return nil, fmt.Errorf("list %s: test %q: %w", file, one.Test, err)
		}
		if seen[one.Test] {
			return nil, fmt.Errorf("list %s: test %q is in it twice", file, one.Test)
		}
		seen[one.Test] = true
		if one.Tests == 0 {
			list.Tests[i].Tests = 1
		}
	}
	return list.Tests, nil
}

func (e entry) check() error {
	switch {
	case e.Expect != string(pass) && e.Expect != string(fail) && e.Expect != notApplicable:
		return fmt.Errorf("expect: %q is none of pass, fail and not applicable", e.Expect)
	case (e.Expect != string(pass) || e.Skipped != 0) && e.Reason == "":
		return fmt.Errorf("give the reason why it is expected to be %q, or why some are skipped", e.Expect)
	case e.Expect == string(fail) && e.Baseline != string(fail):
		return fmt.Errorf("baseline: %q: only what fails on Istio by its own chart, too, may be expected to fail", e.Baseline)
	case e.Expect == notApplicable && e.Tests+e.Skipped != 0:
		return errors.New("tests and skipped: tests that are not applicable are not counted")
	}
	return nil
}

// covers is true for the entry's test and those below it.
func (e entry) covers(test string) bool {
	return test == e.Test || strings.HasPrefix(test, e.Test+"/")
}
