package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// hop is a point between a label on a Service and a request that a client in another cluster gets answered.
type hop string

// Hops, in the order in which they are passed.
const (
	acceptedHop hop = "accepted by the publisher's API server"
	documentHop hop = "in the document that a peer's long poll gets"
	revisionHop hop = "document's version noted in ConfigMap federation-revisions"
	statusHop   hop = "in the status of the IstioFederation"
	entryHop    hop = "ServiceEntry"
	addressHop  hop = "ServiceEntry has the address that istiod made up"
	configHop   hop = "clusters, endpoints and routes of a sidecar (xDS)"
	noticedHop  hop = "client's calls end otherwise than before (its sidecar knows the name)"
	answeredHop hop = "first answered request"

	hopTimeout = 2 * time.Minute
)

var hops = []hop{acceptedHop, documentHop, revisionHop, statusHop, entryHop, addressHop, configHop, noticedHop, answeredHop}

// timeline notes when hops are passed first, as this program sees it.
type timeline struct {
	mu      sync.Mutex
	passed  map[hop]time.Time
	changed chan struct{}
	// broken is why no more is noted.
	broken error
}

func newTimeline() *timeline {
	return &timeline{passed: map[hop]time.Time{}, changed: make(chan struct{})}
}

// restart forgets what was noted.
func (t *timeline) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed = map[hop]time.Time{}
}

// pass notes the hop, the first time since the restart.
func (t *timeline) pass(hop hop, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, before := t.passed[hop]; before {
		return
	}
	t.passed[hop] = at
	t.wake()
}

func (t *timeline) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = errors.Join(t.broken, err)
	t.wake()
}

// wake the waiters; t.mu is held.
func (t *timeline) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// await until all hops are passed, and return how long after the beginning each was.
func (t *timeline) await(ctx context.Context, begun time.Time) (map[hop]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	for {
		t.mu.Lock()
		after := map[hop]time.Duration{}
		for hop, at := range t.passed {
			after[hop] = at.Sub(begun)
		}
		changed, broken := t.changed, t.broken
		t.mu.Unlock()
		if broken != nil || len(after) == len(hops) {
			return after, broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the first answered request: %w; not passed: %s", ctx.Err(), missing(after))
		}
	}
}

func missing(after map[hop]time.Duration) string {
	var names []string
	for _, hop := range hops {
		if _, passed := after[hop]; !passed {
			names = append(names, string(hop))
		}
	}
	return strings.Join(names, "; ")
}
