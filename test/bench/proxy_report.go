package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

func (p *proxied) print(out io.Writer) {
	if p == nil {
		return
	}
	fmt.Fprintf(out, "\nThe API of one server, by three ways with the same client (client-go, protobuf) and the same rights; kubectl proxy speaks plain HTTP to its callers\n")
	p.printLists(out)
	p.printEvents(out)
	p.printMemory(out)
}

func (p *proxied) printLists(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "list\tobjects\tMB\tway\tmedian\tbest\tMB/s\tof direct (median, best)\tproxy CPU\ttarget")
	var direct listed
	for _, row := range p.lists {
		ofDirect, cpu, target := "", "", ""
		if row.way == "direct" {
			direct = row
		} else {
			ofDirect = fmt.Sprintf("%.2f, %.2f", ratio(direct.took, row.took), ratio(direct.best, row.best))
			cpu = fine(row.cpu)
		}
		if row.way == "api-proxy" {
			target = fmt.Sprintf("at least %.1f: %s", minOfDirect, verdict(ratio(direct.took, row.took) >= minOfDirect))
		}
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n",
			row.listing, row.objects, float64(row.size)/1e6, row.way, fine(row.took), fine(row.best), row.perSecond()/1e6, ofDirect, cpu, target)
	}
	_ = table.Flush()
}

func (p *proxied) printEvents(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "watch event, change to client\tevents\tp50\tp99\tadded p50\tadded p99\ttarget")
	for _, row := range p.events {
		added, late, target := "", "", ""
		if row.way != "direct" {
			added, late = fine(percentile(row.added, 50)), fine(percentile(row.added, 99))
		}
		if row.way == "api-proxy" {
			target = fmt.Sprintf("p50 under %s: %s", maxAddedMedian, verdict(percentile(row.added, 50) < maxAddedMedian))
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			row.way, len(row.took), fine(percentile(row.took, 50)), fine(percentile(row.took, 99)), added, late, target)
	}
	_ = table.Flush()
}

func (p *proxied) printMemory(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "memory after the lists above\twatches\tRSS before\tRSS\tpeak so far\ttarget")
	for _, row := range p.memory {
		target := ""
		if row.way == "api-proxy" {
			target = fmt.Sprintf("at most %d MiB: %s", maxProxyMemory, verdict(row.now <= maxProxyMemory))
		}
		fmt.Fprintf(table, "%s\t%d\t%.0f MiB\t%.0f MiB\t%.0f MiB\t%s\n", row.way, row.watches, row.beforehand, row.now, row.peak, target)
	}
	_ = table.Flush()
}

// fine is for what takes milliseconds.
func fine(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
