package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

func (h *hindered) print(out io.Writer) {
	if h == nil {
		return
	}
	fmt.Fprint(out, "\nBeside hostile objects: from a label on a Service in one cluster to its ServiceEntry in another\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "while there stands\tlabels\tp50 before\tp50 beside it\tratio\tp99 before\tp99 beside it\tratio\tload before\tload at the end")
	for _, scene := range h.Scenes {
		p50, p50Beside := percentile(scene.Before, 50), percentile(scene.Beside, 50)
		p99, p99Beside := percentile(scene.Before, 99), percentile(scene.Beside, 99)
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\tx%.1f\t%s\t%s\tx%.1f\t%s\t%s\n", scene.Name, len(scene.Beside), short(p50), short(p50Beside), ratio(p50Beside, p50),
			short(p99), short(p99Beside), ratio(p99Beside, p99), scene.LoadBefore, scene.End)
	}
	_ = table.Flush()
}
