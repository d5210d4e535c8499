package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// maxRequestMedian is the target from a label to the first answered request.
const maxRequestMedian = 500 * time.Millisecond

// times of the hop since the label, and since the hop before it.
func (r *requested) times(index int) (sinceLabel, sinceHop []time.Duration) {
	for _, trip := range r.Trips {
		passed := trip[hops[index]]
		sinceLabel = append(sinceLabel, passed)
		if index > 0 {
			passed -= trip[hops[index-1]]
		}
		sinceHop = append(sinceHop, passed)
	}
	return sinceLabel, sinceHop
}

// since the label, of one hop.
func (r *requested) since(of hop) (times []time.Duration) {
	for _, trip := range r.Trips {
		times = append(times, trip[of])
	}
	return times
}

func (r *requested) print(out io.Writer) {
	fmt.Fprintf(out, "\nBetween two clusters: a Service is labelled in one beside %d others, a client in the other opens a connection every %s (%d labels; load %s before, %s after)\n",
		r.Services, callInterval, len(r.Trips), r.LoadBefore, r.LoadAfter)
	for _, row := range []struct {
		name string
		of   hop
	}{{"label → ServiceEntry", entryHop}, {"label → first answered request", answeredHop}} {
		times := r.since(row.of)
		fmt.Fprintf(out, "  %-32s p50 %s, p99 %s\n", row.name, short(percentile(times, 50)), short(percentile(times, 99)))
	}
	median := percentile(r.since(answeredHop), 50)
	fmt.Fprintf(out, "  Target to the first answered request: p50 %s of at most %s (%s)\n", short(median), short(maxRequestMedian), verdict(median <= maxRequestMedian))
	r.printHops(out)
}

func (r *requested) printHops(out io.Writer) {
	fmt.Fprintln(out, "Where the time goes, as this program sees it (watches, a long poll, a proxy's stream of its own); negative means that it saw the later hop first:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "hop\tp50 since the label\tp99\tp50 since the hop above\tp99")
	for index, hop := range hops {
		sinceLabel, sinceHop := r.times(index)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", hop,
			short(percentile(sinceLabel, 50)), short(percentile(sinceLabel, 99)), short(percentile(sinceHop, 50)), short(percentile(sinceHop, 99)))
	}
	_ = table.Flush()
}
