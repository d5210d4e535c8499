// Package checker calls all targets again and again, and reports what it finds.
package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/informer"
)

const (
	// Interval between the calls to a target, and retryInterval after one whose outcome the next one has to confirm.
	Interval      = 15 * time.Second
	retryInterval = 3 * time.Second
	// parallelCalls bounds the calls in flight.
	parallelCalls = 32
)

// Calls is who calls targets.
type Calls interface {
	Call(ctx context.Context, target healthcheck.Target) healthcheck.Result
}

// Reports is where findings are written.
type Reports interface {
	Write(ctx context.Context, report healthcheck.Report) error
}

// Checker calls every target. Use New, and Run.
type Checker struct {
	calls   Calls
	reports Reports
	metrics *Metrics
	log     *slog.Logger
	now     func() time.Time

	changed informer.Signal

	mu      sync.Mutex
	targets []healthcheck.Target
	known   bool
	results map[healthcheck.Target]*damped
	// written is when the last report was written; zero when one is due.
	written time.Time
}

// New makes a Checker without targets.
func New(calls Calls, reports Reports, metrics *Metrics, now func() time.Time, log *slog.Logger) *Checker {
	return &Checker{calls: calls, reports: reports, metrics: metrics, log: log, now: now,
		changed: informer.NewSignal(), results: map[healthcheck.Target]*damped{}}
}

// SetTargets takes over what is to be called, the JSON below healthcheck.TargetsKey, and has all of it called soon.
func (c *Checker) SetTargets(content string) error {
	var targets []healthcheck.Target
	if err := json.Unmarshal([]byte(content), &targets); err != nil {
		return fmt.Errorf("decode %s: %w", healthcheck.TargetsKey, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known && slices.Equal(c.targets, targets) {
		return nil
	}
	c.targets, c.known, c.written = targets, true, time.Time{}
	maps.DeleteFunc(c.results, func(target healthcheck.Target, _ *damped) bool { return !slices.Contains(targets, target) })
	for _, target := range targets {
		if c.results[target] == nil {
			c.results[target] = &damped{}
		}
	}
	c.changed.Set()
	return nil
}

// Ready returns nil once it is known what is to be called.
func (c *Checker) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return fmt.Errorf("waiting for the list of peers in ConfigMap %s", healthcheck.TargetsConfigMap)
	}
	return nil
}

// Run calls all targets until ctx ends.
func (c *Checker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := Interval
		if c.round(ctx) {
			wait = retryInterval
		}
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-time.After(wait):
		}
	}
	return nil
}

// round calls all targets once, and writes a report when there is something to report. It
// returns whether the next round should be soon.
func (c *Checker) round(ctx context.Context) (soon bool) {
	c.mu.Lock()
	targets := slices.Clone(c.targets)
	c.mu.Unlock()
	found := make([]healthcheck.Result, len(targets))
	var group errgroup.Group
	group.SetLimit(parallelCalls)
	for index, target := range targets {
		group.Go(func() error {
			begun := time.Now()
			found[index] = c.calls.Call(ctx, target)
			c.metrics.noteCall(target, found[index], time.Since(begun))
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return false
	}
	soon = c.note(targets, found)
	if report, due := c.due(); due {
		if err := c.reports.Write(ctx, report); err != nil {
			c.log.Warn("cannot write the report; trying again with the next calls", "error", err)
			return true
		}
		c.mu.Lock()
		c.written = report.Time
		c.mu.Unlock()
	}
	return soon
}

// note takes over what the calls found.
func (c *Checker) note(targets []healthcheck.Target, found []healthcheck.Result) (soon bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for index, target := range targets {
		state := c.results[target]
		if state == nil { // it is no target any more
			continue
		}
		if state.note(found[index]) {
			c.written = time.Time{}
			c.log.Info("a peer's answer changed", "kind", target.Kind, "name", target.Name, "host", target.Host,
				"reason", found[index].Reason, "message", found[index].Message)
		}
		soon = soon || state.uncertain()
	}
	return soon
}

// due returns the report of this moment, and whether it is to be written.
func (c *Checker) due() (healthcheck.Report, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	report := healthcheck.Report{Time: c.now().UTC().Truncate(time.Second), Results: map[string]healthcheck.Result{}}
	for target, state := range c.results {
		if state.reported.Reason != "" {
			report.Results[target.Key()] = state.reported
		}
	}
	return report, c.known && c.now().Sub(c.written) >= healthcheck.Heartbeat
}
