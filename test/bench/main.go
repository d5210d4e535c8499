package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what to measure, from the environment.
type plan struct {
	// services are the numbers of services, of all peers together; peers the numbers of peers.
	services, peers []int
	// tries is how many changes are timed.
	tries int
	// published and waiters are the exporter's load: labelled Services, and long polls of as many peers.
	published, waiters int
	// pods are the objects of a list, and watches those that a proxy holds, in the part proxy.
	pods, watches int
	// parts to run: import, publish, serve, proxy.
	parts map[string]bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	work := run
	if len(os.Args) == 2 && os.Args[1] == loadArgument {
		work = func(context.Context) error { return generateLoad(os.Stdin, os.Stdout) }
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
	var report report
	report.machine = describeMachine()
	if todo.parts["import"] {
		for _, peers := range todo.peers {
			for _, services := range todo.services {
				row, err := measureImport(ctx, services, peers, todo.tries)
				if err != nil {
					return fmt.Errorf("%d services of %d peers: %w", services, peers, err)
				}
				report.imports = append(report.imports, row)
				progress("%s", row)
			}
		}
	}
	if todo.parts["publish"] || todo.parts["serve"] {
		if report.published, err = measureExporter(ctx, todo); err != nil {
			return fmt.Errorf("the exporter with %d Services and %d waiting peers: %w", todo.published, todo.waiters, err)
		}
	}
	if todo.parts["proxy"] {
		if report.proxied, err = measureProxy(ctx, todo); err != nil {
			return fmt.Errorf("the API proxy before %d Pods: %w", todo.pods, err)
		}
	}
	report.print(os.Stdout)
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
		services: numbers("BENCH_SERVICES", "100,1000,10000"), peers: numbers("BENCH_PEERS", "1,10"),
		tries: numbers("BENCH_TRIES", "20")[0], published: numbers("BENCH_PUBLISHED", "10000")[0],
		waiters: numbers("BENCH_WAITERS", "200")[0],
		pods:    numbers("BENCH_PODS", "5000")[0], watches: numbers("BENCH_WATCHES", "100")[0], parts: map[string]bool{},
	}
	parts := getenv("BENCH_PARTS")
	if parts == "" {
		parts = "import,publish,serve,proxy"
	}
	for part := range strings.SplitSeq(parts, ",") {
		switch part {
		case "import", "publish", "serve", "proxy":
			todo.parts[part] = true
		default:
			problem = fmt.Errorf("BENCH_PARTS=%s: %q is none of import, publish, serve, proxy", parts, part)
		}
	}
	return todo, problem
}

var started = time.Now()

// progress tells whoever waits what is going on.
func progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "bench %5.0fs  %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, arguments...))
}
