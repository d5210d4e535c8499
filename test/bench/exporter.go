package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// published is what was measured in a cluster that publishes Services.
type published struct {
	services, waiters int
	// document is the size of private/federation.json.
	document int
	// labelled is from the label on a Service to the answer of a long poll.
	labelled []time.Duration
	// idle is before, waiting while all waiters wait, and after once all have read a changed document.
	idle, waiting, after usage
	// fanOut is from a label to the last waiter's last byte.
	fanOut time.Duration
	served []serving
}

const (
	maxExporterMemory = 64  // MiB, the target
	minOfNginx        = 0.5 // the target
)

// measureExporter publishes Services in a new cluster and asks its exporter as neighbours do.
func measureExporter(ctx context.Context, todo plan) (_ *published, err error) {
	row := &published{services: todo.published, waiters: todo.waiters}
	neighbours, closePeers, err := newFakePeers(todo.waiters, 0)
	if err != nil {
		return nil, err
	}
	defer closePeers()
	c, err := startCluster(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	exporter, err := c.process(exporterName)
	if err != nil {
		return nil, err
	}
	address, err := exporter.address("listen-address")
	if err != nil {
		return nil, err
	}
	progress("publishing %d Services, joining %d peers", todo.published, todo.waiters)
	if err := c.publishMany(ctx, todo.published); err != nil {
		return nil, err
	}
	if err := c.federate(ctx, neighbours); err != nil {
		return nil, err
	}
	callers := make([]*caller, 0, len(neighbours))
	for _, peer := range neighbours {
		caller := newCaller(peer, address, c.uuid)
		defer caller.close()
		callers = append(callers, caller)
		if err := caller.awaitAdmission(ctx, todo.published); err != nil {
			return nil, err
		}
	}
	row.document = callers[0].size
	progress("all %d peers are let in, the document has %d bytes", len(callers), row.document)
	if todo.parts["publish"] {
		if err := row.publish(ctx, c, exporter, callers, todo.tries); err != nil {
			return nil, err
		}
	}
	if todo.parts["serve"] {
		if row.served, err = measureServing(ctx, c, exporter, callers[0]); err != nil {
			return nil, err
		}
	}
	if after, err := c.process(exporterName); err != nil || after != exporter {
		return nil, errors.Join(err, fmt.Errorf("the exporter was process %d and is %d: it ended in between", exporter, after))
	}
	return row, nil
}

// publish measures labels on Services, first with one peer waiting, then with all.
func (p *published) publish(ctx context.Context, c *cluster, exporter process, callers []*caller, tries int) error {
	used, err := exporter.measure()
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
		p.labelled = append(p.labelled, at.Sub(begun))
	}
	if p.idle, err = used.read(); err != nil {
		return err
	}
	progress("label to document: p50 %s", short(percentile(p.labelled, 50)))

	for _, caller := range callers {
		if err := caller.fetch(ctx); err != nil {
			return err
		}
	}
	answers := hold(ctx, callers)
	if err := c.awaitWaiters(ctx, exporter, len(callers)); err != nil {
		return err
	}
	// What fetching left behind is collected within two minutes by Go's runtime; peers wait for longer than that.
	progress("%d peers wait; looking at memory in ten seconds", len(callers))
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	if p.waiting, err = used.read(); err != nil {
		return err
	}
	begun, err := c.label(ctx, "for-all")
	if err != nil {
		return err
	}
	at, err := lastOf(answers)
	if err != nil {
		return err
	}
	p.fanOut = at.Sub(begun)
	p.after, err = used.read()
	return err
}

func (p *published) print(out io.Writer) {
	if len(p.labelled) > 0 {
		fmt.Fprintf(out, "\nPublishing: %d Services labelled, federation.json of %d bytes\n", p.services, p.document)
		fmt.Fprintf(out, "  label to a long poll's whole answer: p50 %s, p99 %s (%d tries), exporter CPU %s each\n",
			short(percentile(p.labelled, 50)), short(percentile(p.labelled, 99)), len(p.labelled), short(p.idle.cpu/time.Duration(len(p.labelled))))
		fmt.Fprintf(out, "  RSS: %.0f MiB before, %.0f MiB with %d peers waiting (peak so far %.0f), %.0f MiB after all have read a changed document in %s (peak %.0f)\n",
			p.idle.rss, p.waiting.rss, p.waiters, p.waiting.peak, p.after.rss, short(p.fanOut), p.after.peak)
		fmt.Fprintf(out, "  Target with %d waiting: %.0f MiB of at most %d (%s)\n", p.waiters, p.waiting.rss, maxExporterMemory, verdict(p.waiting.rss <= maxExporterMemory))
	}
	printServed(out, p.served)
}
