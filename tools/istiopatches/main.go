// Command istiopatches compares the releases of Istio that the module runs with
// those that Istio's makers have published, and shows which minors are near
// their end of life. Its exit status is for scheduled jobs:
//
//	0  every minor of the table is at its newest patch and in support
//	1  a minor is behind, or past its end of life
//	2  the repository could not be read, or lacks what is run and, as far as it is known, no minor is behind
//
// ISTIO_REPOSITORY names the repository whose tags are read.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	repositoryVariable = "ISTIO_REPOSITORY"
	makersRepository   = "https://github.com/istio/istio"

	// deadline of all that is asked of the repository; tags and dates take seconds.
	deadline = 3 * time.Minute
)

const (
	statusCurrent = 0
	statusBehind  = 1
	statusTrouble = 2
)

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()

	table, err := moduleTable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "istio-patches:", err)
		return statusTrouble
	}
	repository := cmp.Or(os.Getenv(repositoryVariable), makersRepository)
	return check{table, repository, time.Now()}.run(ctx, os.Stdout, os.Stderr)
}

// check is one comparison of the table with a repository.
type check struct {
	table      []row
	repository string
	now        time.Time
}

// run prints the comparison to out, what it comes to in problems, and returns the exit status.
func (c check) run(ctx context.Context, out, problems io.Writer) int {
	findings, err := c.compare(ctx)
	if err == nil {
		err = write(out, findings)
	}
	if err != nil {
		fmt.Fprintln(problems, "istio-patches:", err)
		return statusTrouble
	}
	status, summary := conclude(findings)
	if summary != "" {
		fmt.Fprintf(problems, "istio-patches: %s; docs/PATCHES.md says what to do\n", summary)
	}
	return status
}

func (c check) compare(ctx context.Context) ([]finding, error) {
	names, err := tags(ctx, c.repository)
	if err != nil {
		return nil, fmt.Errorf("%w: check the network, and %s if it is set", err, repositoryVariable)
	}
	upstream := releasesOf(names)
	if !upstream.haveAny(c.table) {
		return nil, fmt.Errorf("%s has no release of a minor in lib/istioversion/versions.yaml among its %d tags: set %s to a copy of Istio's repository",
			shown(c.repository), len(names), repositoryVariable)
	}
	dir, err := os.MkdirTemp("", "istio-patches-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the dates of tags: %w", err)
	}
	made, err := dates(ctx, c.repository, dir, wanted(c.table, upstream))
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, err
	}
	return judge(c.table, upstream, made, c.now), nil
}

// conclude returns the exit status and a sentence about it; the sentence is
// empty when all is current. What is known to be behind or past goes before
// what cannot be compared.
func conclude(findings []finding) (status int, summary string) {
	var parts []string
	for _, kind := range []struct {
		status int
		text   string
		is     func(finding) bool
	}{
		{statusBehind, "behind", finding.behind},
		{statusBehind, "past the end of life", func(f finding) bool { return f.ended }},
		{statusTrouble, "cannot be compared", finding.unknown},
	} {
		var names []string
		for _, f := range findings {
			if kind.is(f) {
				names = append(names, f.minor.String())
			}
		}
		if len(names) > 0 {
			status = cmp.Or(status, kind.status)
			parts = append(parts, kind.text+": "+strings.Join(names, ", "))
		}
	}
	return status, strings.Join(parts, "; ")
}
