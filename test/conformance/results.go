package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// verdict on a test.
type verdict string

const (
	pass verdict = "pass"
	fail verdict = "fail"
	skip verdict = "skip"
)

// results are verdicts on tests by their full names. Only tests without tests of their own are in it, and those that
// failed by themselves: none of their own tests did.
type results map[string]verdict

// marker begins each line of a test program's report when it runs with -test.v=test2json, even where the tests' own output
// did not end its last line.
const marker = "\x16"

var (
	startLine  = regexp.MustCompile(marker + `=== RUN +(\S+)`)
	resultLine = regexp.MustCompile(marker + `\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
	// namespaceInName is a namespace of Istio's tests, another in each run, in the name of a test.
	namespaceInName = regexp.MustCompile(`\becho-\d+-\d+\b`)
)

// stable is the name of a test as it is in every run.
func stable(name string) string { return namespaceInName.ReplaceAllString(name, "echo") }

// parse reads the output of a test program.
func parse(output io.Reader) (results, error) {
	all := results{}
	reader := bufio.NewReader(output)
	for {
		line, err := reader.ReadString('\n')
		if started := startLine.FindStringSubmatch(line); started != nil {
			// It stays so when the program ends before the test does.
			all[stable(started[1])] = fail
		}
		if ended := resultLine.FindStringSubmatch(line); ended != nil {
			all[stable(ended[2])] = verdict(strings.ToLower(ended[1]))
		}
		if errors.Is(err, io.EOF) {
			return all.leaves(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the suite's output: %w", err)
		}
	}
}

// leaves drops the tests that consist of others, except those that failed though none of the others did.
func (r results) leaves() results {
	parents, explained := map[string]bool{}, map[string]bool{}
	for name, found := range r {
		for parent := parentOf(name); parent != ""; parent = parentOf(parent) {
			parents[parent] = true
			if found == fail {
				explained[parent] = true
			}
		}
	}
	leaves := results{}
	for name, found := range r {
		if !parents[name] || found == fail && !explained[name] {
			leaves[name] = found
		}
	}
	return leaves
}

// parentOf is the name of the test that a test is part of; empty for those that are part of none.
func parentOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}

// names of the tests with that verdict, in order.
func (r results) names(wanted verdict) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if r[name] == wanted {
			names = append(names, name)
		}
	}
	return names
}

func (r results) summary() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped by the suite", len(r.names(pass)), len(r.names(fail)), len(r.names(skip)))
}

// resultsFile is in the folder of a part's results.
const resultsFile = "results.json"

// write the results where the next run looks for them.
func (r results) write(folder string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, resultsFile), append(encoded, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// readResults of a part that was run to its end.
func readResults(folder string) (results, error) {
	content, err := os.ReadFile(filepath.Join(folder, resultsFile))
	if err != nil {
		return nil, err
	}
	var all results
	err = json.Unmarshal(content, &all)
	return all, err
}
