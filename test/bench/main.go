package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what to measure, from the environment.
type plan struct {
	// Services are the numbers of services, of all peers together; Peers the numbers of peers.
	Services, Peers []int
	// Tries is how many changes are timed; Requests, how many labels until an answered request.
	Tries, Requests int
	// Published and Waiters are the exporter's load: labelled Services, and long polls of as many peers.
	Published, Waiters int
	// Pods are the objects of a list, and Watches those that a proxy holds, in the part proxy.
	Pods, Watches int
	// Parts to run, of those in allParts.
	Parts map[string]bool
	// StateDir of a lab that runs, for the part request; empty for one of its own.
	StateDir string
	// Bundle has the labs run the module from the folder that Deckhouse unpacks.
	Bundle bool
}

// Parts.
const (
	importPart  = "import"
	publishPart = "publish"
	servePart   = "serve"
	requestPart = "request"
	proxyPart   = "proxy"
	hostilePart = "hostile"
)

var allParts = []string{importPart, publishPart, servePart, requestPart, proxyPart, hostilePart}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	work := run
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case loadArgument:
			work = func(context.Context) error { return generateLoad(os.Stdin, os.Stdout) }
		case errandArgument:
			work = func(ctx context.Context) error { return runErrand(ctx, os.Stdin, os.Stdout) }
		}
	}
	err := work(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	todo, err := readPlan(os.Getenv)
	if err != nil {
		return err
	}
	all := report{machine: describeMachine()}
	for _, part := range []func(context.Context, plan, *report) error{runImports, runExporter, runRequests, runProxy, runHostile} {
		if err := part(ctx, todo, &all); err != nil {
			return err
		}
	}
	all.print(os.Stdout)
	return nil
}

func runImports(ctx context.Context, todo plan, into *report) error {
	if !todo.Parts[importPart] {
		return nil
	}
	for _, peers := range todo.Peers {
		for _, services := range todo.Services {
			var row imported
			if err := inLab(ctx, alone, errand{Part: importPart, Services: services, Peers: peers, Plan: todo}, &row); err != nil {
				return fmt.Errorf("%d services of %d peers: %w", services, peers, err)
			}
			into.imports = append(into.imports, row)
			progress("%s", row)
		}
	}
	return nil
}

func runExporter(ctx context.Context, todo plan, into *report) error {
	if !todo.Parts[publishPart] && !todo.Parts[servePart] {
		return nil
	}
	into.published = &published{}
	if err := inLab(ctx, alone, errand{Part: publishPart, Plan: todo}, into.published); err != nil {
		return fmt.Errorf("the exporter with %d Services and %d waiting peers: %w", todo.Published, todo.Waiters, err)
	}
	return nil
}

func runRequests(ctx context.Context, todo plan, into *report) error {
	if !todo.Parts[requestPart] {
		return nil
	}
	into.requested = &requested{}
	recipe := federated
	recipe.present = todo.StateDir
	if err := inLab(ctx, recipe, errand{Part: requestPart, Plan: todo}, into.requested); err != nil {
		return fmt.Errorf("requests between two clusters: %w", err)
	}
	return nil
}

func runProxy(ctx context.Context, todo plan, into *report) (err error) {
	if !todo.Parts[proxyPart] {
		return nil
	}
	if into.proxied, err = measureProxy(ctx, todo); err != nil {
		return fmt.Errorf("the API proxy before %d Pods: %w", todo.Pods, err)
	}
	return nil
}

func runHostile(ctx context.Context, todo plan, into *report) error {
	if !todo.Parts[hostilePart] {
		return nil
	}
	into.hindered = &hindered{}
	if err := inLab(ctx, federated, errand{Part: hostilePart, Plan: todo}, into.hindered); err != nil {
		return fmt.Errorf("changes beside hostile objects: %w", err)
	}
	return nil
}

func readPlan(getenv func(string) string) (plan, error) {
	var problem error
	numbers := func(variable, standard string) []int {
		text := getenv(variable)
		if text == "" {
			text = standard
		}
		var read []int
		for field := range strings.SplitSeq(text, ",") {
			number, err := strconv.Atoi(strings.TrimSpace(field))
			if err != nil || number < 1 {
				problem = fmt.Errorf("%s=%s: %q is not a number above 0, as in %s=%s", variable, text, field, variable, standard)
			}
			read = append(read, number)
		}
		return read
	}
	todo := plan{
		Services: numbers("BENCH_SERVICES", "100,1000,10000"), Peers: numbers("BENCH_PEERS", "1,10"),
		Tries: numbers("BENCH_TRIES", "20")[0], Requests: numbers("BENCH_REQUESTS", "50")[0],
		Published: numbers("BENCH_PUBLISHED", "10000")[0], Waiters: numbers("BENCH_WAITERS", "200")[0],
		Pods: numbers("BENCH_PODS", "5000")[0], Watches: numbers("BENCH_WATCHES", "100")[0],
		Parts: map[string]bool{}, StateDir: getenv("BENCH_STATE_DIR"), Bundle: !slices.Contains([]string{"", "0"}, getenv("BENCH_BUNDLE")),
	}
	parts := getenv("BENCH_PARTS")
	if parts == "" {
		parts = strings.Join(allParts, ",")
	}
	for part := range strings.SplitSeq(parts, ",") {
		if !slices.Contains(allParts, part) {
			problem = fmt.Errorf("BENCH_PARTS=%s: %q is none of %s", parts, part, strings.Join(allParts, ", "))
		}
		todo.Parts[part] = true
	}
	return todo, problem
}

// progress reports what is going on to the person who waits.
func progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "bench %s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
