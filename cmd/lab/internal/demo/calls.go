package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/probe"
)

const (
	// callsFor is how long the client calls at most.
	callsFor = 10 * time.Minute
	// stopTimeout bounds the wait for its end.
	stopTimeout = 5 * time.Second
)

// calls are those of a client that calls every 10 ms, each time on a new
// connection: what the program in its Pod reports, one entry for each change.
type calls struct {
	mu      sync.Mutex
	changes []probe.Call
	// failed is why no more changes follow.
	failed error
	// changed is closed, and replaced, with each change.
	changed chan struct{}
}

// startCalls makes the client of a cluster call the URL; the caller stops it.
func startCalls(ctx context.Context, in *cluster, url string) (_ *calls, stop func()) {
	c := &calls{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	input, end := io.Pipe()
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		command := []string{"probe", "call", "--until-eof", "--for", callsFor.String(), url}
		err := in.pods.Exec(ctx, namespace, "client", command, input, writer)
		if err == nil {
			err = errors.New("the client's program ended")
		}
		_ = writer.CloseWithError(err)
	}()
	go c.read(reader)
	return c, func() {
		defer cancel()
		_ = end.Close()
		select {
		case <-ended:
		case <-time.After(stopTimeout):
		}
	}
}

func (c *calls) read(from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var call probe.Call
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			c.add(nil, fmt.Errorf("read what the client says: %w: %s", err, lines.Text()))
			return
		}
		c.add(&call, nil)
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	c.add(nil, err)
}

func (c *calls) add(call *probe.Call, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call != nil {
		c.changes = append(c.changes, *call)
	}
	c.failed = err
	close(c.changed)
	c.changed = make(chan struct{})
}

// await the first change to a call that began after a moment and fits.
func (c *calls) await(ctx context.Context, after time.Time, what string, fits func(probe.Call) bool) (probe.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		c.mu.Lock()
		changes, failed, changed := c.changes, c.failed, c.changed
		c.mu.Unlock()
		for _, call := range changes {
			if call.Began.After(after) && fits(call) {
				return call, nil
			}
		}
		if failed != nil {
			return probe.Call{}, fmt.Errorf("%s: the client's calls ended: %w", what, failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return probe.Call{}, ctx.Err()
			}
			return probe.Call{}, fmt.Errorf("%s: not within %s; the client's last call: %s", what, timeout, describe(changes))
		}
	}
}

// since are the changes to calls that began after a moment.
func (c *calls) since(moment time.Time) []probe.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []probe.Call
	for _, call := range c.changes {
		if call.Began.After(moment) {
			found = append(found, call)
		}
	}
	return found
}

func describe(changes []probe.Call) string {
	if len(changes) == 0 {
		return "none"
	}
	return outcome(changes[len(changes)-1])
}

// outcome of a call in words.
func outcome(call probe.Call) string {
	switch {
	case call.Answered():
		return fmt.Sprintf("200 of Pod %s in %s", call.Pod, call.Cluster)
	case call.Status != 0:
		return fmt.Sprintf("%d %s", call.Status, call.Error)
	}
	return call.Error
}
