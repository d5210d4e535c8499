package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// callInterval is how often the client opens a connection.
	callInterval = 10 * time.Millisecond
	// callsFor is longer than all tries take.
	callsFor = 2 * time.Hour
	// restored is how long calls must end as before a label, before the next: longer than the probe waits for an
	// answer, so that none ends later which began while the Service was published.
	restored = 2500 * time.Millisecond
)

// call is what the probe in the client's Pod reports when a call ends otherwise than the call before it.
type call struct {
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	Status int       `json:"status"`
	Error  string    `json:"error"`
}

func (c call) String() string {
	return fmt.Sprintf("status %d %s", c.Status, c.Error)
}

// alike reports whether two calls ended in the same way.
func (c call) alike(other call) bool { return c.Status == other.Status && c.Error == other.Error }

// calls of a client in the mesh that go on all the time, each on a new connection.
type calls struct {
	timeline *timeline
	running  *running

	mu sync.Mutex
	// before is how calls end while the Service is not published, nil until it is known; last the last change.
	before  *call
	last    *call
	changed chan struct{}
	broken  error
	// history of all changes.
	history []call
}

// startCalls has the demonstration's client call the URL until stop.
func startCalls(ctx context.Context, in *cluster, url string, noted *timeline) (*calls, error) {
	running, err := in.startKubectl(ctx, "-n", demoNamespace, "exec", "-i", "deploy/client", "-c", "probe", "--",
		"probe", "call", "--until-eof", "--interval", callInterval.String(), "--for", callsFor.String(), url)
	if err != nil {
		return nil, err
	}
	c := &calls{timeline: noted, running: running, changed: make(chan struct{})}
	go c.read()
	return c, nil
}

func (c *calls) stop() { _ = c.running.stop() }

func (c *calls) read() {
	for c.running.output.Scan() {
		var changed call
		if err := json.Unmarshal(c.running.output.Bytes(), &changed); err != nil {
			c.fail(fmt.Errorf("read what the client says: %w: %s", err, c.running.output.Text()))
			return
		}
		c.note(changed)
	}
	c.fail(c.running.stop())
}

func (c *calls) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
	c.wake()
	c.timeline.fail(err)
}

// wake the waiters; c.mu is held.
func (c *calls) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// note the change. A name becomes known while or before a call looks it up: that is when the call began.
func (c *calls) note(changed call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.before != nil && !changed.alike(*c.before) {
		c.timeline.pass(noticedHop, changed.Began)
		if changed.Status == http.StatusOK {
			c.timeline.pass(answeredHop, changed.Ended)
		}
	}
	c.last = &changed
	c.history = append(c.history, changed)
	c.wake()
}

// awaitOutcome waits until calls have been answered, or not answered, for a while,
// and returns when the first call since then ended so, and since when all do.
func (c *calls) awaitOutcome(ctx context.Context, answered bool, since time.Time) (first, all time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	for {
		c.mu.Lock()
		history, changed, broken := c.history, c.changed, c.broken
		c.mu.Unlock()
		if broken != nil {
			return first, all, broken
		}
		var lasting <-chan time.Time
		if first, all = outcomes(history, answered, since); !all.IsZero() {
			lasting = time.After(time.Until(all.Add(restored)))
		}
		select {
		case <-lasting:
			return first, all, nil
		case <-changed:
		case <-ctx.Done():
			return first, all, fmt.Errorf("wait until calls are answered (%t): %w", answered, ctx.Err())
		}
	}
}

// outcomes finds in the history of changes the first call since then that ended so,
// and the one from which on all do; zero when the last one did not.
func outcomes(history []call, answered bool, since time.Time) (first, all time.Time) {
	for _, each := range history {
		switch {
		case (each.Status == http.StatusOK) != answered:
			all = time.Time{}
		case all.IsZero():
			all = each.Ended
			if first.IsZero() && each.Ended.After(since) {
				first = each.Ended
			}
		}
	}
	return first, all
}

// awaitUnanswered waits until calls have ended for a while as they do when the
// Service is not published. What that is, is settled the first time.
func (c *calls) awaitUnanswered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	for {
		c.mu.Lock()
		last, before, changed, broken := c.last, c.before, c.changed, c.broken
		c.mu.Unlock()
		if broken != nil {
			return broken
		}
		unanswered := last != nil && last.Status == 0 && (before == nil || last.alike(*before))
		var lasting <-chan time.Time
		if unanswered {
			lasting = time.After(time.Until(last.Ended.Add(restored)))
		}
		select {
		case <-lasting:
			c.mu.Lock()
			c.before = last
			c.mu.Unlock()
			return nil
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait until the client's calls are not answered: %w; the last: %v, before: %v", ctx.Err(), last, before)
		}
	}
}
