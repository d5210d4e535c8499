package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// report is what a test program prints with -test.v=test2json: marks say where its own lines begin.
func report(lines ...string) string {
	return strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "^", marker)
}

func TestReadingWhatATestProgramReports(t *testing.T) {
	for name, test := range map[string]struct {
		output string
		found  results
	}{
		"tests that consist of others are left out": {
			report("^=== RUN   TestA", "^=== RUN   TestA/b", "^=== RUN   TestA/b/c", "^--- PASS: TestA/b/c (0.10s)", "^--- PASS: TestA/b (0.20s)",
				"^=== RUN   TestA/d", "^--- SKIP: TestA/d (0.00s)", "^--- PASS: TestA (1.00s)"),
			results{"TestA/b/c": pass, "TestA/d": skip},
		},
		"a test fails for one that it consists of": {
			report("^=== RUN   TestA", "^=== RUN   TestA/b", "^--- FAIL: TestA/b (0.10s)", "^--- FAIL: TestA (0.10s)"),
			results{"TestA/b": fail},
		},
		"a test fails by itself": {
			report("^=== RUN   TestA", "^=== RUN   TestA/b", "^--- PASS: TestA/b (0.10s)", "^--- FAIL: TestA (0.10s)"),
			results{"TestA/b": pass, "TestA": fail},
		},
		"the program ends before its tests": {
			report("^=== RUN   TestA", "^=== RUN   TestA/b", "panic: no such thing"),
			results{"TestA/b": fail},
		},
		"output of a test does not end its line": {
			report("^=== RUN   TestA", "a request^--- PASS: TestA (0.10s)"),
			results{"TestA": pass},
		},
		"a namespace in the name of a test is another in each run": {
			report("^=== RUN   TestA/b.echo-1-1125.svc:80/http", "^--- PASS: TestA/b.echo-1-1125.svc:80/http (0.10s)"),
			results{"TestA/b.echo.svc:80/http": pass},
		},
		"output of a test looks like a report": {
			report("^=== RUN   TestA", "--- FAIL: TestOfAnother (0.10s)", "^--- PASS: TestA (0.10s)"),
			results{"TestA": pass},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := parse(strings.NewReader(test.output))
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			NewWithT(t).Expect(found).To(Equal(test.found))
		})
	}
}
