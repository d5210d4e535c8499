package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// none stands in cells that have nothing to show.
const none = "-"

// write prints the findings as a table, one line a minor.
func write(out io.Writer, findings []finding) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MINOR\tOURS\tNEWEST\tRELEASED\tBEHIND\tEND OF LIFE\tTO DO")
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.minor, f.ours(), f.newestText(), date(f.released), f.behindText(), f.endText(), f.todo())
	}
	return table.Flush()
}

func (f finding) ours() string {
	if f.row == nil {
		return none
	}
	return f.row.ours.String()
}

func (f finding) newestText() string {
	if f.newest == nil {
		return none
	}
	return f.newest.String()
}

func (f finding) behindText() string {
	if !f.behind() {
		return none
	}
	return counted(f.missing, "patch", "patches") + ", " + counted(f.lateDays, "day", "days")
}

func (f finding) endText() string {
	if f.row == nil {
		return none
	}
	text := f.row.endOfLife.String()
	switch {
	case f.daysLeft == 0:
		return text + ", today"
	case f.ended:
		return text + ", " + counted(-f.daysLeft, "day", "days") + " ago"
	}
	return text + ", in " + counted(f.daysLeft, "day", "days")
}

func date(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.DateOnly)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
