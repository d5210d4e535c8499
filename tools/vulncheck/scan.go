package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Vulnerability is one that the project's programs call.
type Vulnerability struct {
	ID, Summary string
	// Module whose code is called, in the version that is linked. The standard library's is "stdlib".
	Module, Version string
	// FixedIn is the first version without it; empty where there is none.
	FixedIn string
	// Called is the vulnerable function, and By the first of the project's functions on a way to it.
	Called, By string
}

// scan returns what govulncheck finds the programs of this module to call, by ID.
func scan(ctx context.Context, database string) (map[string]Vulnerability, error) {
	var stdout bytes.Buffer
	check := goTool(ctx, "govulncheck", "-db", "file://"+database, "-format", "json", "./...")
	check.Stdout, check.Stderr = &stdout, os.Stderr
	if err := check.Run(); err != nil {
		return nil, fmt.Errorf("run govulncheck: %w", err)
	}
	return decode(&stdout)
}

// message is one of the stream that govulncheck prints; each carries one of these or something of no interest here.
type message struct {
	OSV *struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	} `json:"osv"`
	Finding *finding `json:"finding"`
}

// finding is made three times for a vulnerability: for its module, for its
// package, and, when there is a way to it, for its function.
type finding struct {
	OSV          string  `json:"osv"`
	FixedVersion string  `json:"fixed_version"`
	Trace        []frame `json:"trace"`
}

// frame is a step on a way from the project's code, which comes last, to the vulnerable one, which comes first.
type frame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Function string `json:"function"`
	Receiver string `json:"receiver"`
}

func (f frame) String() string {
	if f.Receiver != "" {
		return f.Package + "." + f.Receiver + "." + f.Function
	}
	return f.Package + "." + f.Function
}

// decode keeps the findings about functions, the first of each vulnerability.
func decode(stream io.Reader) (map[string]Vulnerability, error) {
	summaries := map[string]string{}
	found := map[string]Vulnerability{}
	for decoder := json.NewDecoder(stream); ; {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read what govulncheck printed: %w", err)
		}
		if m.OSV != nil {
			summaries[m.OSV.ID] = m.OSV.Summary
		}
		if m.Finding == nil || !m.Finding.called() {
			continue
		}
		if _, ok := found[m.Finding.OSV]; !ok {
			found[m.Finding.OSV] = m.Finding.vulnerability()
		}
	}
	for id, v := range found {
		v.Summary = summaries[id]
		found[id] = v
	}
	return found, nil
}

func (f *finding) called() bool { return len(f.Trace) > 0 && f.Trace[0].Function != "" }

func (f *finding) vulnerability() Vulnerability {
	vulnerable, entry := f.Trace[0], f.Trace[len(f.Trace)-1]
	return Vulnerability{
		ID: f.OSV, Module: vulnerable.Module, Version: vulnerable.Version, FixedIn: f.FixedVersion,
		Called: vulnerable.String(), By: entry.String(),
	}
}
