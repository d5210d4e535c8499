package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestComparingResultsWithAList(t *testing.T) {
	list := []entry{
		{Test: "TestA", Expect: "pass", Tests: 2},
		{Test: "TestA/headless", Expect: "fail", Tests: 1, Reason: "a reason", Baseline: "fail"},
		{Test: "TestB", Expect: notApplicable, Reason: "there is no ingress gateway"},
		{Test: "TestC", Expect: "pass", Tests: 1, Skipped: 1, Reason: "no workload calls itself"},
	}
	expected := func(changes results) results {
		all := results{"TestA/http": pass, "TestA/tcp": pass, "TestA/headless/http": fail, "TestC/a": pass, "TestC/b": skip}
		for name, found := range changes {
			if all[name] = found; found == "" {
				delete(all, name)
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		found      results
		deviations []string
	}{
		"as listed": {expected(nil), nil},
		"tests that are not applicable may be skipped or left out": {expected(results{"TestB/ingress": skip}), nil},
		"a test that passed fails":                                 {expected(results{"TestA/http": fail}), []string{"TestA/http: fail, listed as pass"}},
		"a test that passed is skipped":                            {expected(results{"TestA/http": skip}), []string{"TestA/http: skip, listed as pass", "TestA: 1 tests ran, 2 are listed"}},
		"a test that passed is skipped where others are": {
			expected(results{"TestC/a": skip}),
			[]string{"TestC: 0 tests ran, 1 are listed", "TestC: the suite skipped 2 tests, 1 are listed as skipped"},
		},
		"a test that was skipped has vanished": {
			expected(results{"TestC/b": ""}), []string{"TestC: the suite skipped 0 tests, 1 are listed as skipped"},
		},
		"a test that was skipped fails": {
			expected(results{"TestC/b": fail}),
			[]string{"TestC/b: fail, listed as pass", "TestC: 2 tests ran, 1 are listed", "TestC: the suite skipped 0 tests, 1 are listed as skipped"},
		},
		"a test that passed has vanished": {expected(results{"TestA/http": ""}), []string{"TestA: 1 tests ran, 2 are listed"}},
		"a test that failed has vanished": {expected(results{"TestA/headless/http": ""}), []string{"TestA/headless: 0 tests ran, 1 are listed"}},
		"a test that failed passes": {
			expected(results{"TestA/headless/http": pass}),
			[]string{"TestA/headless/http: passes, and is listed as failing: list it as passing"},
		},
		"a new test in a branch that is listed": {expected(results{"TestA/grpc": pass}), []string{"TestA: 3 tests ran, 2 are listed"}},
		"a new test":                            {expected(results{"TestAB": pass}), []string{"TestAB: is not listed (result: pass)"}},
		"a test that is not applicable passes": {
			expected(results{"TestB/ingress": pass}),
			[]string{"TestB/ingress: pass, and is listed as not applicable (there is no ingress gateway): list it by its result"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(compare(list, test.found)).To(Equal(test.deviations))
		})
	}
}
