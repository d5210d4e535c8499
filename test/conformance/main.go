package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// order is what a person asked for.
type order struct {
	// parts by name; empty: all that have no result yet.
	parts []string
	// baseline runs the parts on Istio as Istio's own chart installs it.
	baseline bool
	// present is the state dir of a lab that runs, to use instead of a new one.
	present string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	wanted, err := readOrder(os.Args[1:])
	if err == nil {
		err = run(ctx, wanted)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func readOrder(args []string) (order, error) {
	var wanted order
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.BoolVar(&wanted.baseline, "baseline", false, "run on Istio as its own chart installs it, to find out what fails without the module, too")
	flags.StringVar(&wanted.present, "state-dir", "", "state `DIR` of a lab that runs, to use instead of a new one")
	if err := flags.Parse(args); err != nil {
		return order{}, err
	}
	for _, arg := range flags.Args() {
		wanted.parts = append(wanted.parts, strings.FieldsFunc(arg, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, name := range wanted.parts {
		found, exists := findPart(name)
		if !exists {
			return order{}, fmt.Errorf("there is no part %s: choose of %s", name, strings.Join(partNames(), ", "))
		}
		if wanted.baseline && !found.installs {
			return order{}, fmt.Errorf("part %s has no baseline: its suite does not install Istio", name)
		}
	}
	return wanted, nil
}

// run the parts, each to its end whatever the others found.
func run(ctx context.Context, wanted order) error {
	todo := wanted.parts
	if len(todo) == 0 {
		todo = missing(wanted.baseline)
		progress("%d parts have no results yet (remove others from .cache/conformance to run them again)", len(todo))
	}
	var problems []error
	for _, name := range todo {
		found, _ := findPart(name)
		if err := runPart(ctx, found, wanted); err != nil {
			problems = append(problems, fmt.Errorf("part %s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(problems...)
}

// missing are the parts without results; what is a selection of another part only is left out.
func missing(baseline bool) []string {
	var names []string
	for _, p := range parts {
		if _, err := readResults(resultsFolder(p.name, baseline)); err != nil && p.partOf == "" && (p.installs || !baseline) {
			names = append(names, p.name)
		}
	}
	return names
}

// resultsFolder is where a part leaves its results and the suite's output.
func resultsFolder(part string, baseline bool) string {
	if baseline {
		part += "-baseline"
	}
	return filepath.Join(".cache", "conformance", part)
}

func runPart(ctx context.Context, p part, wanted order) error {
	expected, err := readList(p.listFile())
	if err != nil {
		return err
	}
	begun := time.Now()
	found, err := measure(ctx, p, wanted)
	if err != nil {
		return err
	}
	progress("part %s: %s, in %s", p.name, found.summary(), time.Since(begun).Round(time.Second))
	deviations := compare(p.expected(expected), found)
	if wanted.baseline {
		// Nothing is asserted of Istio by itself: the list is about the module.
		for _, deviation := range deviations {
			progress("differs from the list: %s", deviation)
		}
		return nil
	}
	if len(deviations) == 0 {
		progress("part %s: as %s lists it", p.name, p.listFile())
		return nil
	}
	slices.Sort(deviations)
	return fmt.Errorf("%d deviations from %s:\n  %s", len(deviations), p.listFile(), strings.Join(deviations, "\n  "))
}

// progress reports what is going on to the person who waits.
func progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "conformance %s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
