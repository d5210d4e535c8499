package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print writes the report for a person.
func (l *Lab) Print(out io.Writer, now time.Time) error {
	w := &writer{out: out}
	running := fmt.Sprintf("running (pid %d)", l.PID)
	if !l.Running {
		running = fmt.Sprintf("NOT running (its pid was %d): start it with `lab up --state-dir %s`", l.PID, l.StateDir)
	}
	w.printf("lab in %s: %s, mode %s\n", l.StateDir, running, l.Mode)
	for i := range l.Clusters {
		l.Clusters[i].print(w, now)
	}
	return w.err
}

func (c *Cluster) print(w *writer, now time.Time) {
	w.printf("\n%s  %s  domain %s, UUID %s\n", c.Name, c.APIServer, c.ClusterDomain, c.ClusterUUID)
	if len(c.Nodes) > 0 {
		w.table("  NODE\tADDRESS\tPID\tREADY\tLOGS", func(row func(string, ...any)) {
			for _, n := range c.Nodes {
				row("  %s\t%s\t%d\t%v\t%s", n.Name, n.Address, n.PID, n.Ready, n.Logs)
			}
		})
	}
	if len(c.Federations) > 0 {
		w.table("  FEDERATION\tREADY\tREASON\tSERVICES\tREJECTED\tLAST CONTACT", func(row func(string, ...any)) {
			for _, f := range c.Federations {
				row("  %s\t%s\t%s\t%d\t%d\t%s", f.Name, f.Ready, orDash(f.Reason), f.ImportedServices, f.RejectedServices, ago(f.LastContact, now))
			}
		})
	}
	if len(c.Multiclusters) > 0 {
		w.table("  MULTICLUSTER\tREADY\tREASON\tNETWORK\tLAST CONTACT", func(row func(string, ...any)) {
			for _, m := range c.Multiclusters {
				row("  %s\t%s\t%s\t%s\t%s", m.Name, m.Ready, orDash(m.Reason), orDash(m.NetworkName), ago(m.LastContact, now))
			}
		})
	}
	for _, check := range c.Checks {
		if check.OK {
			w.printf("  √ %s\n", check.Name)
			if check.Message != "" {
				w.printf("      %s\n", check.Message)
			}
			continue
		}
		w.printf("  × %s\n      %s\n      hint: %s\n", check.Name, check.Message, check.Hint)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func ago(timestamp string, now time.Time) string {
	then, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		return "never"
	}
	return now.Sub(then).Round(time.Second).String() + " ago"
}

// writer remembers the first error.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}

func (w *writer) table(header string, rows func(row func(format string, args ...any))) {
	columns := tabwriter.NewWriter(w.out, 0, 0, 3, ' ', 0)
	line := func(format string, args ...any) {
		if w.err == nil {
			_, w.err = fmt.Fprintf(columns, format+"\n", args...)
		}
	}
	line("%s", header)
	rows(line)
	if w.err == nil {
		w.err = columns.Flush()
	}
}
