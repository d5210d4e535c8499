package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// published is what was measured in a cluster that publishes Services.
type published struct {
	Services, Waiters int
	// Document is the size of private/federation.json.
	Document int
	// Labelled is from the label on a Service to the answer of a long poll, CPU what the exporter computed for all of them.
	Labelled []time.Duration
	CPU      time.Duration
	// Idle is resident before, Waiting while all peers wait, After once all have read a changed document, Peak the most that
	// was seen while they read; in MiB, as the exporter measures itself.
	Idle, Waiting, After, Peak float64
	// FanOut is from a label to the last waiter's last byte.
	FanOut time.Duration
	Served []serving
	// Load of the machine in the minute before the end.
	Load string
}

const (
	maxExporterMemory = 64  // MiB, the target
	minOfNginx        = 0.5 // the target
)

// measureExporter publishes Services in a new cluster and asks its exporter as peers do.
func measureExporter(ctx context.Context, c *cluster, todo plan) (*published, error) {
	row := &published{Services: todo.Published, Waiters: todo.Waiters}
	peers, closePeers, err := newFakePeers(todo.Waiters, 0)
	if err != nil {
		return nil, err
	}
	defer closePeers()
	exporter, err := c.find(ctx, exporterComponent)
	if err != nil {
		return nil, err
	}
	address, err := exporter.address("https")
	if err != nil {
		return nil, err
	}
	progress("publishing %d Services, adding %d peers", todo.Published, todo.Waiters)
	if err := c.publishMany(ctx, todo.Published); err != nil {
		return nil, err
	}
	if err := c.federate(ctx, peers); err != nil {
		return nil, err
	}
	callers := make([]*caller, 0, len(peers))
	for _, peer := range peers {
		caller := newCaller(peer, "https://"+address+"/metadata/", c.ClusterUUID)
		defer caller.close()
		callers = append(callers, caller)
		if err := caller.awaitAdmission(ctx, todo.Published); err != nil {
			return nil, err
		}
	}
	row.Document = callers[0].size
	progress("all %d peers are admitted, the document has %d bytes", len(callers), row.Document)
	if todo.Parts[publishPart] {
		if err := row.publish(ctx, c, exporter, callers, todo.Tries); err != nil {
			return nil, err
		}
	}
	if todo.Parts[servePart] {
		if row.Served, err = measureServing(ctx, exporter, callers[0]); err != nil {
			return nil, err
		}
	}
	row.Load, _, _ = strings.Cut(loadAverage(), " ")
	return row, exporter.checkSame(ctx)
}

// publish measures labels on Services, first with one peer waiting, then with all.
func (p *published) publish(ctx context.Context, c *cluster, exporter *program, callers []*caller, tries int) error {
	before, err := exporter.measureItself(ctx)
	if err != nil {
		return err
	}
	for try := range tries {
		answers := hold(ctx, callers[:1])
		begun, err := c.label(ctx, fmt.Sprintf("new-%05d", try))
		if err != nil {
			return err
		}
		at, err := lastOf(answers)
		if err != nil {
			return err
		}
		p.Labelled = append(p.Labelled, at.Sub(begun))
	}
	after, err := exporter.measureItself(ctx)
	if err != nil {
		return err
	}
	p.CPU, p.Idle = after.cpu-before.cpu, after.memory
	progress("label to document: p50 %s", short(percentile(p.Labelled, 50)))
	return p.publishForAll(ctx, c, exporter, callers)
}

// publishForAll measures the exporter while all peers wait, and while all read.
func (p *published) publishForAll(ctx context.Context, c *cluster, exporter *program, callers []*caller) error {
	for _, caller := range callers {
		if err := caller.fetch(ctx); err != nil {
			return err
		}
	}
	answers := hold(ctx, callers)
	if err := exporter.awaitWaiters(ctx, len(callers)); err != nil {
		return err
	}
	// What fetching left behind is collected within two minutes by Go's runtime; peers wait for longer than that.
	progress("%d peers wait; looking at memory in ten seconds", len(callers))
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	waiting, err := exporter.measureItself(ctx)
	if err != nil {
		return err
	}
	peak := exporter.followMemory(ctx)
	begun, err := c.label(ctx, "for-all")
	if err != nil {
		return err
	}
	at, err := lastOf(answers)
	if err != nil {
		return err
	}
	after, err := exporter.measureItself(ctx)
	if err != nil {
		return err
	}
	p.Waiting, p.After, p.FanOut = waiting.memory, after.memory, at.Sub(begun)
	p.Peak, err = peak()
	p.Peak = max(p.Peak, p.Waiting, p.After)
	return err
}

func (p *published) print(out io.Writer) {
	if len(p.Labelled) > 0 {
		fmt.Fprintf(out, "\nPublishing: %d Services labelled, federation.json of %d bytes; load %s\n", p.Services, p.Document, p.Load)
		fmt.Fprintf(out, "  label to a long poll's whole answer: p50 %s, p99 %s (%d tries), exporter CPU %s each\n",
			short(percentile(p.Labelled, 50)), short(percentile(p.Labelled, 99)), len(p.Labelled), short(p.CPU/time.Duration(len(p.Labelled))))
		fmt.Fprintf(out, "  RSS: %.0f MiB before, %.0f MiB with %d peers waiting, %.0f MiB after all have read a changed document in %s (peak %.0f)\n",
			p.Idle, p.Waiting, p.Waiters, p.After, short(p.FanOut), p.Peak)
		fmt.Fprintf(out, "  Target with %d waiting: %.0f MiB of at most %d (%s)\n", p.Waiters, p.Waiting, maxExporterMemory, verdict(p.Waiting <= maxExporterMemory))
	}
	printServed(out, p.Served)
}
