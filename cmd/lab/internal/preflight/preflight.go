// Package preflight finds out, before anything is started, whether this machine
// can run a lab: rights, kernel, programs, room. What is missing is named with
// its cure.
package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Needs of the lab that is to be started.
type Needs struct {
	// StateDir exists.
	StateDir string
	Clusters int
	// Nodes of each cluster.
	Nodes int
}

// Finding is something that keeps a lab from running.
type Finding struct {
	// Problem says what is missing; Cure what to do.
	Problem, Cure string
	// Package of Debian that has it, if one has.
	Package string
}

// Error is the findings as one error; nil when there are none.
func Error(findings []Finding) error {
	if len(findings) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("this machine cannot run a lab of real nodes:")
	var packages []string
	for _, finding := range findings {
		fmt.Fprintf(&text, "\n  - %s", finding.Problem)
		if finding.Cure != "" {
			fmt.Fprintf(&text, "\n    → %s", finding.Cure)
		}
		if finding.Package != "" {
			packages = append(packages, finding.Package)
		}
	}
	if len(packages) > 0 {
		slices.Sort(packages)
		fmt.Fprintf(&text, "\nOn Debian and Ubuntu: apt-get install -y %s", strings.Join(slices.Compact(packages), " "))
	}
	text.WriteString("\n`make test-unit` needs none of this.")
	return fmt.Errorf("%s", text.String())
}

// Check the machine. It takes well under a second. Limits that may be too low
// and that this process may raise are raised; raised says which.
func Check(ctx context.Context, needs Needs) (findings []Finding, raised []string) {
	findings = checkRights()
	findings = append(findings, checkPrograms()...)
	findings = append(findings, checkRoom(needs)...)
	if len(checkRights()) > 0 {
		// Without rights all else would fail for that reason alone.
		return findings, nil
	}
	missing, raised := checkLimits(needs)
	findings = append(findings, missing...)
	findings = append(findings, checkGroups(needs)...)
	return append(findings, probe(ctx, needs.StateDir)...), raised
}
