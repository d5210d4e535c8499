package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	services, peers int
	// coldStart is from the creation of the resources to the last ServiceEntry.
	coldStart          time.Duration
	coldOperator       usage
	changes            []time.Duration
	operator, exporter usage
	// operatorIdle and exporterIdle are how much is computed in a second in which nothing changes;
	// operatorEach and exporterEach what a change costs besides.
	operatorIdle, exporterIdle time.Duration
	operatorEach, exporterEach time.Duration
	// each is what was written for each change, sent how many bytes the API server was sent for it.
	each []map[string]writes
	sent []int
}

func (r imported) String() string {
	return fmt.Sprintf("%d services of %d peers: cold start %s, a change p50 %s p99 %s",
		r.services, r.peers, short(r.coldStart), short(percentile(r.changes, 50)), short(percentile(r.changes, 99)))
}

// measureImport joins so many peers, with so many services altogether, to a new
// cluster, and publishes one more Service again and again.
func measureImport(ctx context.Context, services, peers, tries int) (row imported, err error) {
	row = imported{services: services, peers: peers}
	neighbours, closePeers, err := newFakePeers(peers, services)
	if err != nil {
		return row, err
	}
	defer closePeers()
	c, err := startCluster(ctx)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	account, err := open(ctx, c.dynamic)
	if err != nil {
		return row, err
	}
	operator, err := c.process(operatorName)
	if err != nil {
		return row, err
	}
	exporter, err := c.process(exporterName)
	if err != nil {
		return row, err
	}
	if err := row.start(ctx, c, account, operator, neighbours); err != nil {
		return row, err
	}
	if err := row.rest(ctx, account, operator, exporter); err != nil {
		return row, err
	}
	if err := row.change(ctx, c, account, operator, exporter, neighbours, tries); err != nil {
		return row, err
	}
	// A restarted process would have begun to count anew.
	for name, before := range map[string]process{operatorName: operator, exporterName: exporter} {
		if after, err := c.process(name); err != nil || after != before {
			return row, errors.Join(err, fmt.Errorf("%s was process %d and is %d: it ended in between", name, before, after))
		}
	}
	return row, nil
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

// start joins the peers and waits for all their services.
func (r *imported) start(ctx context.Context, c *cluster, account *ledger, operator process, peers []*fakePeer) error {
	used, err := operator.measure()
	if err != nil {
		return err
	}
	progress("cold start: %d services of %d peers", r.services, r.peers)
	waiting, cancel := context.WithTimeout(ctx, coldStartTimeout)
	defer cancel()
	begun := time.Now()
	if err := c.federate(ctx, peers); err != nil {
		return err
	}
	told := begun
	err = account.await(waiting, func() bool {
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			progress("%d of %d services have come", account.entries, r.services)
		}
		return account.entries >= r.services
	})
	if err != nil {
		return fmt.Errorf("after %s, %d of %d ServiceEntries have come: %w", short(time.Since(begun)), account.count(), r.services, err)
	}
	r.coldStart = time.Since(begun)
	progress("all services came in %s", short(r.coldStart))
	if err := account.settle(ctx, 3*time.Second); err != nil {
		return err
	}
	r.coldOperator, err = used.read()
	return err
}

// rest measures what the processes compute while nothing changes.
func (r *imported) rest(ctx context.Context, account *ledger, operator, exporter process) error {
	ofOperator, err := operator.measure()
	if err != nil {
		return err
	}
	ofExporter, err := exporter.measure()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := account.settle(ctx, resting); err != nil {
		return err
	}
	rested := time.Since(begun).Seconds()
	if r.operator, err = ofOperator.read(); err != nil {
		return err
	}
	if r.exporter, err = ofExporter.read(); err != nil {
		return err
	}
	r.operatorIdle = time.Duration(float64(r.operator.cpu) / rested)
	r.exporterIdle = time.Duration(float64(r.exporter.cpu) / rested)
	return nil
}

// change publishes services one by one, at the peers in turn.
func (r *imported) change(ctx context.Context, c *cluster, account *ledger, operator, exporter process, peers []*fakePeer, tries int) error {
	ofOperator, err := operator.measure()
	if err != nil {
		return err
	}
	ofExporter, err := exporter.measure()
	if err != nil {
		return err
	}
	begunAll := time.Now()
	for try := range tries {
		peer, name := peers[try%len(peers)], fmt.Sprintf("new-%05d", try)
		show, err := peer.publish(name)
		if err != nil {
			return err
		}
		before := account.snapshot()
		sentBefore, err := c.sent(ctx)
		if err != nil {
			return err
		}
		// The operator looks for work at intervals: a change must not always come at the same point of them.
		if err := pause(ctx, rand.N(time.Second)); err != nil { //nolint:gosec // nobody gains by guessing it
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, changeTimeout)
		begun := time.Now()
		show()
		at, err := account.arrival(waiting, peer.hostname(name))
		cancel()
		if err != nil {
			return err
		}
		r.changes = append(r.changes, at.Sub(begun))
		if err := account.settle(ctx, quiet); err != nil {
			return err
		}
		r.each = append(r.each, account.since(before))
		sentAfter, err := c.sent(ctx)
		if err != nil {
			return err
		}
		r.sent = append(r.sent, sentAfter-sentBefore)
		if (try+1)%10 == 0 {
			progress("%d of %d changes, the last in %s", try+1, tries, short(at.Sub(begun)))
		}
	}
	if r.operator, err = ofOperator.read(); err != nil {
		return err
	}
	if r.exporter, err = ofExporter.read(); err != nil {
		return err
	}
	took := time.Since(begunAll).Seconds()
	each := func(used usage, idle time.Duration) time.Duration {
		return max(used.cpu-time.Duration(float64(idle)*took), 0) / time.Duration(tries)
	}
	r.operatorEach, r.exporterEach = each(r.operator, r.operatorIdle), each(r.exporter, r.exporterIdle)
	return nil
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
	return slices.SortedFunc(slices.Values(r.each), func(a, b map[string]writes) int {
		return sum(a).bytes - sum(b).bytes
	})[len(r.each)/2]
}

// typicalSent is the number of bytes sent for the change in the middle.
func (r imported) typicalSent() int {
	return slices.Sorted(slices.Values(r.sent))[len(r.sent)/2]
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
