package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// coldStartTimeout is when a benchmark gives up waiting for all services.
	coldStartTimeout = 20 * time.Minute
	changeTimeout    = 3 * time.Minute
	// quiet is how long nothing is written before the account of a change is closed.
	quiet = 1500 * time.Millisecond
	// resting is how long processes are looked at while nothing changes.
	resting = 20 * time.Second
)

// imported is what was measured in a cluster that imports services.
type imported struct {
	Services, Peers int
	// ColdStart is from the creation of the resources to the last ServiceEntry.
	ColdStart         time.Duration
	Changes           []time.Duration
	Operator, Watcher cost
	// Each is what was written for each change, Sent how many bytes the API server was sent for it.
	Each []map[string]writes
	Sent []int
	// Load of the machine in the minute before the end.
	Load string
}

// cost of a program.
type cost struct {
	// Idle is what it computes in a second in which nothing changes; Cold and Each are without that:
	// of all services at once, and of a change.
	Idle, Cold, Each time.Duration
	// Memory is the working set after the changes, Largest the largest that was seen, in MiB.
	Memory, Largest float64
}

func (r imported) String() string {
	return fmt.Sprintf("%d services of %d peers: cold start %s, a change p50 %s p99 %s",
		r.Services, r.Peers, short(r.ColdStart), short(percentile(r.Changes, 50)), short(percentile(r.Changes, 99)))
}

// importing is a measurement that goes on.
type importing struct {
	*imported
	cluster *cluster
	account *ledger
	peers   []*fakePeer
	meters  []*meter // of operator and watcher
}

// measureImport adds so many peers, with so many services altogether, to a new
// cluster, and publishes one more Service again and again.
func measureImport(ctx context.Context, c *cluster, services, peers, tries int) (*imported, error) {
	row := importing{imported: &imported{Services: services, Peers: peers}, cluster: c}
	var closePeers func()
	var err error
	if row.peers, closePeers, err = newFakePeers(peers, services); err != nil {
		return nil, err
	}
	defer closePeers()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if row.account, err = open(ctx, c.dynamic); err != nil {
		return nil, err
	}
	for _, component := range []component{operatorComponent, watcherComponent} {
		meter, err := startMeter(ctx, c, component)
		if err != nil {
			return nil, err
		}
		row.meters = append(row.meters, meter)
	}
	if err := row.measure(ctx, tries); err != nil {
		return nil, err
	}
	for _, meter := range row.meters {
		if err := meter.program.checkSame(ctx); err != nil {
			return nil, err
		}
	}
	row.Load, _, _ = strings.Cut(loadAverage(), " ")
	return row.imported, nil
}

// measure a cold start, rest, and changes, with a look at the programs before and after each.
func (r *importing) measure(ctx context.Context, tries int) error {
	var looks [][]sample
	for _, phase := range []func() error{
		func() error { return nil },
		func() error { return r.start(ctx) },
		func() error { return r.account.settle(ctx, resting) },
		func() error { return r.change(ctx, tries) },
	} {
		if err := phase(); err != nil {
			return err
		}
		var seen []sample
		for _, meter := range r.meters {
			sample, err := meter.now(ctx)
			if err != nil {
				return err
			}
			seen = append(seen, sample)
		}
		looks = append(looks, seen)
	}
	for index, into := range []*cost{&r.Operator, &r.Watcher} {
		between := func(phase int) usage { return r.meters[index].between(looks[phase-1][index], looks[phase][index]) }
		cold, rest, changes := between(1), between(2), between(3)
		idle := rest.perSecond()
		*into = cost{
			Idle: idle, Cold: cold.beyond(idle), Each: changes.beyond(idle) / time.Duration(tries),
			Memory: changes.Memory, Largest: changes.Largest,
		}
	}
	return nil
}

// newFakePeers divides the services among the peers.
func newFakePeers(peers, services int) (_ []*fakePeer, closeAll func(), err error) {
	var all []*fakePeer
	closeAll = func() {
		for _, peer := range all {
			peer.close()
		}
	}
	for index := range peers {
		share := services / peers
		if index < services%peers {
			share++
		}
		peer, err := newFakePeer(fmt.Sprintf("peer-%03d", index), share)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		all = append(all, peer)
	}
	return all, closeAll, nil
}

func (c *cluster) federate(ctx context.Context, peers []*fakePeer) error {
	for _, peer := range peers {
		resource := &unstructured.Unstructured{Object: peer.federation()}
		if _, err := c.dynamic.Resource(federations).Create(ctx, resource, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create IstioFederation %s: %w", peer.name, err)
		}
	}
	return nil
}

// start adds the peers and waits for all their services.
func (r *importing) start(ctx context.Context) error {
	progress("cold start: %d services of %d peers", r.Services, r.Peers)
	waiting, cancel := context.WithTimeout(ctx, coldStartTimeout)
	defer cancel()
	begun := time.Now()
	if err := r.cluster.federate(ctx, r.peers); err != nil {
		return err
	}
	reported := begun
	err := r.account.await(waiting, func() bool {
		if time.Since(reported) > 10*time.Second {
			reported = time.Now()
			progress("%d of %d services have come", r.account.entries, r.Services)
		}
		return r.account.entries >= r.Services
	})
	if err != nil {
		return fmt.Errorf("after %s, %d of %d ServiceEntries have come: %w", short(time.Since(begun)), r.account.count(), r.Services, err)
	}
	r.ColdStart = time.Since(begun)
	progress("all services came in %s", short(r.ColdStart))
	return r.account.settle(ctx, 3*time.Second)
}

// change publishes one more Service, and again.
func (r *importing) change(ctx context.Context, tries int) error {
	for try := range tries {
		took, err := r.changeOnce(ctx, r.peers[try%len(r.peers)], fmt.Sprintf("new-%05d", try))
		if err != nil {
			return err
		}
		if (try+1)%10 == 0 {
			progress("%d of %d changes, the last in %s", try+1, tries, short(took))
		}
	}
	return nil
}

func (r *importing) changeOnce(ctx context.Context, peer *fakePeer, name string) (time.Duration, error) {
	show, err := peer.publish(name)
	if err != nil {
		return 0, err
	}
	before := r.account.snapshot()
	sentBefore, err := r.cluster.sent(ctx)
	if err != nil {
		return 0, err
	}
	// The operator looks for work at intervals: a change must not always come at the same point of them.
	if err := pause(ctx, rand.N(time.Second)); err != nil { //nolint:gosec // nobody gains by guessing it
		return 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	begun := time.Now()
	show()
	at, err := r.account.arrival(waiting, peer.hostname(name))
	if err != nil {
		return 0, err
	}
	if err := r.account.settle(ctx, quiet); err != nil {
		return 0, err
	}
	sentAfter, err := r.cluster.sent(ctx)
	if err != nil {
		return 0, err
	}
	took := at.Sub(begun)
	r.Changes = append(r.Changes, took)
	r.Each, r.Sent = append(r.Each, r.account.since(before)), append(r.Sent, sentAfter-sentBefore)
	return took, nil
}

func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// typical is the change whose number of bytes is in the middle.
func (r imported) typical() map[string]writes {
	return slices.SortedFunc(slices.Values(r.Each), func(a, b map[string]writes) int {
		return sum(a).Bytes - sum(b).Bytes
	})[len(r.Each)/2]
}

// typicalSent is the number of bytes sent for the change in the middle.
func (r imported) typicalSent() int {
	return slices.Sorted(slices.Values(r.Sent))[len(r.Sent)/2]
}

func sum(all map[string]writes) (total writes) {
	for _, each := range all {
		total = total.plus(each)
	}
	return total
}

// percentile of the durations, by the nearest rank.
func percentile(durations []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
