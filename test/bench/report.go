package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	machine   string
	imports   []imported
	published *published
	requested []*requested
	called    *called
	revoked   *revoked
	proxied   *proxied
	hindered  *hindered
}

// describeMachine that the figures were measured on.
func describeMachine() string {
	model, memory := "unknown CPU", ""
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kilobytes int
		if _, err := fmt.Sscanf(string(content), "MemTotal: %d kB", &kilobytes); err == nil {
			memory = fmt.Sprintf(", %d GiB", kilobytes>>20)
		}
	}
	return fmt.Sprintf("%d x %s%s, %s %s/%s, load before %s", runtime.NumCPU(), model, memory, runtime.Version(), runtime.GOOS, runtime.GOARCH, loadAverage())
}

// loadAverage of the machine: processes that run or want to, over 1, 5 and 15 minutes.
func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(content))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

func (r report) print(out io.Writer) {
	fmt.Fprintf(out, "\nMachine: %s\n", r.machine)
	if len(r.imports) > 0 {
		r.printImports(out)
	}
	if r.published != nil {
		r.published.print(out)
	}
	for _, row := range r.requested {
		row.print(out)
	}
	r.called.print(out)
	r.revoked.print(out)
	r.proxied.print(out)
	r.hindered.print(out)
}

func (r report) printImports(out io.Writer) {
	fmt.Fprint(out, "\nImporting: from a changed document at the peer to its ServiceEntry here\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "services\tpeers\tp50\tp99\ttries\tcold start\toperator CPU of it\toperator CPU/change\tat rest/s\tmemory\tlargest\t"+
		"watcher CPU/change\tat rest/s\tmemory\tlargest\tbytes sent/change\twrites\tbytes stored\tload\t")
	for _, row := range r.imports {
		total := sum(row.typical())
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%.0f MiB\t%.0f MiB\t%s\t%s\t%.0f MiB\t%.0f MiB\t%d\t%d\t%d\t%s\t\n",
			row.Services, row.Peers, short(percentile(row.Changes, 50)), short(percentile(row.Changes, 99)), len(row.Changes),
			short(row.ColdStart), short(row.Operator.Cold),
			short(row.Operator.Each), short(row.Operator.Idle), row.Operator.Memory, row.Operator.Largest,
			short(row.Watcher.Each), short(row.Watcher.Idle), row.Watcher.Memory, row.Watcher.Largest, row.typicalSent(), total.Count, total.Bytes, row.Load)
	}
	_ = table.Flush()
	fmt.Fprintln(out, "  CPU is without what the container computes at rest; memory is its working set, as the kubelet sees it every ten to fifteen seconds; bytes sent are those of all requests for these resources, istiod's among them.")
	fmt.Fprintln(out, "What a typical change stores (states written x, bytes of their JSON):")
	for _, row := range r.imports {
		fmt.Fprintf(out, "  %d services of %d peers: %s\n", row.Services, row.Peers, describe(row.typical()))
	}
	r.printTargets(out)
	r.printGrowth(out)
}

// printTargets compares with what the project promises at 1,000 services.
func (r report) printTargets(out io.Writer) {
	const promisedFor, p50, p99 = 1000, 500 * time.Millisecond, 2 * time.Second
	for _, row := range r.imports {
		if row.Services != promisedFor {
			continue
		}
		fmt.Fprintf(out, "Target at %d services of %d peers: p50 %s of at most %s (%s), p99 %s of at most %s (%s)\n", promisedFor, row.Peers,
			short(percentile(row.Changes, 50)), short(p50), verdict(percentile(row.Changes, 50) <= p50),
			short(percentile(row.Changes, 99)), short(p99), verdict(percentile(row.Changes, 99) <= p99))
	}
}

// printGrowth compares what a change costs among more services.
func (r report) printGrowth(out io.Writer) {
	for index, row := range r.imports {
		if index == 0 || r.imports[index-1].Peers != row.Peers {
			continue
		}
		first := index
		for first > 0 && r.imports[first-1].Peers == row.Peers {
			first--
		}
		base := r.imports[first]
		fmt.Fprintf(out, "Ratio %d : %d services of %d peers (1 is a cost that does not grow): p50 x%.1f, operator CPU/change x%.1f, bytes sent x%.1f, bytes stored x%.1f, states written x%.1f\n",
			row.Services, base.Services, row.Peers, ratio(percentile(row.Changes, 50), percentile(base.Changes, 50)), ratio(row.Operator.Each, base.Operator.Each),
			ratio(row.typicalSent(), base.typicalSent()), ratio(sum(row.typical()).Bytes, sum(base.typical()).Bytes), ratio(sum(row.typical()).Count, sum(base.typical()).Count))
	}
}

func ratio[N ~int | ~int64](a, b N) float64 { return float64(a) / float64(max(b, 1)) }

func describe(all map[string]writes) string {
	var parts []string
	for _, resource := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%s %dx %d", resource, all[resource].Count, all[resource].Bytes))
	}
	return strings.Join(parts, ", ")
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
