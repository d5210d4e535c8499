package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

var (
	federations    = schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource}
	moduleConfigs  = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "moduleconfigs"}
	serviceEntries = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}

	// written are the resources that the module and istiod write for peers. Leases,
	// which are renewed whatever happens, are left out, and so are the ConfigMaps
	// that istiod uses as such.
	written = []schema.GroupVersionResource{
		federations, serviceEntries,
		{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "events"},
	}
)

// settleTimeout is when a benchmark gives up waiting for silence. istiod, which
// writes into each ServiceEntry the addresses that it makes up, can take longer
// after a cold start than the module itself.
const settleTimeout = 15 * time.Minute

// leaderAnnotation marks a ConfigMap that is a lease.
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

// ledger keeps account of what is written to the API server, by watching it.
type ledger struct {
	mu      sync.Mutex
	entries int
	arrived map[string]time.Time
	writes  map[string]writes
	last    time.Time
	changed chan struct{}
	// broken is why the account is no longer complete.
	broken error
}

// writes of one resource: how often, and the size of all states written, as JSON.
type writes struct{ Count, Bytes int }

func (w writes) plus(other writes) writes {
	return writes{w.Count + other.Count, w.Bytes + other.Bytes}
}

// open starts an account; it ends with ctx.
func open(ctx context.Context, client dynamic.Interface) (*ledger, error) {
	l := &ledger{arrived: map[string]time.Time{}, writes: map[string]writes{}, changed: make(chan struct{})}
	for _, resource := range written {
		if err := follow(ctx, client, resource, l); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *ledger) note(resource schema.GroupVersionResource, kind watch.EventType, object *unstructured.Unstructured) {
	now := time.Now()
	if object.GetAnnotations()[leaderAnnotation] != "" {
		return
	}
	encoded, err := json.Marshal(object.Object)
	if err != nil { // it came as JSON
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = now
	l.writes[resource.Resource] = l.writes[resource.Resource].plus(writes{1, len(encoded)})
	if resource == serviceEntries && kind == watch.Added {
		l.entries++
		hosts, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "hosts")
		for _, host := range hosts {
			l.arrived[host] = now
		}
	}
	l.wake()
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = errors.Join(l.broken, err)
	l.wake()
}

// wake the waiters for a change; l.mu is held.
func (l *ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// count of the ServiceEntries that have come.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries
}

// await waits until done, which is asked after each change and at least every
// second, and never while the account changes.
func (l *ledger) await(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		l.mu.Lock()
		changed, ready, broken := l.changed, done(), l.broken
		l.mu.Unlock()
		if ready || broken != nil {
			return broken
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrival waits for the ServiceEntry of a host and returns when it came.
func (l *ledger) arrival(ctx context.Context, host string) (at time.Time, err error) {
	err = l.await(ctx, func() (came bool) {
		at, came = l.arrived[host]
		return came
	})
	if err != nil {
		err = fmt.Errorf("wait for the ServiceEntry of %s: %w", host, err)
	}
	return at, err
}

// settle waits until nothing was written for that long.
func (l *ledger) settle(ctx context.Context, quiet time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	begun := time.Now()
	err := l.await(ctx, func() bool { return time.Since(l.last) >= quiet && time.Since(begun) >= quiet })
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("for %s there was always something written within %s: %v", settleTimeout, quiet, l.snapshot())
	}
	return err
}

// snapshot of the account so far.
func (l *ledger) snapshot() map[string]writes {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.writes)
}

// since is what was written since an earlier snapshot.
func (l *ledger) since(before map[string]writes) map[string]writes {
	now := l.snapshot()
	for resource, total := range now {
		earlier := before[resource]
		now[resource] = writes{total.Count - earlier.Count, total.Bytes - earlier.Bytes}
		if now[resource].Count == 0 {
			delete(now, resource)
		}
	}
	return now
}
