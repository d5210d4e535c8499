package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// middle of the rounds.
func middle(rounds []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(rounds))
	return sorted[len(sorted)/2]
}

func (c *called) print(out io.Writer) {
	if c == nil {
		return
	}
	fmt.Fprintf(out, "\nCalls: HTTP/1.1 of fortio, %s requests a second over 4 connections for %s, median of %d rounds taken in turns; load %s\n", latencyRate, latencyTime, rounds, c.Load)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "way\tp50\tadds\tp99\tadds")
	for index, row := range c.Latencies {
		p50, p99 := middle(row.P50), middle(row.P99)
		added50, added99 := "", ""
		if index > 0 {
			added50 = fmt.Sprintf("%+.2f ms", milliseconds(p50-middle(c.Latencies[index-1].P50)))
			added99 = fmt.Sprintf("%+.2f ms", milliseconds(p99-middle(c.Latencies[index-1].P99)))
		}
		fmt.Fprintf(table, "%s\t%.2f ms\t%s\t%.2f ms\t%s\n", row.Way, milliseconds(p50), added50, milliseconds(p99), added99)
	}
	_ = table.Flush()
	c.printPassed(out)
	if c.MemoryWithServices > 0 {
		fmt.Fprintf(out, "A client's Envoy: %.1f MiB allocated, %.1f with %d imported services of two ports more: %.1f MiB for each 1,000\n",
			c.Memory, c.MemoryWithServices, importedForMemory, (c.MemoryWithServices-c.Memory)*1000/importedForMemory)
	}
}

func (c *called) printPassed(out io.Writer) {
	if len(c.Passed) == 0 {
		return
	}
	fmt.Fprintf(out, "Passing TLS through to the peer's Service, one worker each, as fast as clients and servers beside it let it, for %s, median of %d rounds taken in turns.\n", passingTime, rounds)
	fmt.Fprintln(out, "Per CPU second is what one core would pass:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "program\trequests/s\tper CPU second\tof the gateway's\tconnections of one request/s\tper CPU second\tof the gateway's")
	gateway := c.Passed[0]
	for _, row := range c.Passed {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\tx%.2f\t%.0f\t%.0f\tx%.2f\n", row.Program, row.Requests.PerSecond, row.Requests.PerCPU, row.Requests.PerCPU/gateway.Requests.PerCPU,
			row.Connections.PerSecond, row.Connections.PerCPU, row.Connections.PerCPU/gateway.Connections.PerCPU)
	}
	_ = table.Flush()
}
