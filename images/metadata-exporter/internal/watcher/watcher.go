// Package watcher notices at once when a peer's metadata changes: it holds a long
// poll on each peer and pokes: it writes into the ConfigMap of the resource's kind,
// under the resource's name, a value that it has not had, which wakes the
// discovery hook. It judges nothing and keeps nothing; while it does not run, the
// hook's own schedule does the same work within a minute.
package watcher

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Fetcher fetches peers' documents; *peer.Client is one.
type Fetcher interface {
	Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error)
}

// Timing is every duration the watcher goes by.
type Timing struct {
	// Wait is how long a peer is asked to hold an answer.
	Wait time.Duration
	// Unheld is the least time between polls of a peer that does not hold answers.
	Unheld time.Duration
	// RetryMin and RetryMax bound the back-off after a failure.
	RetryMin, RetryMax time.Duration
	// RefusedMax bounds it while the peer refuses this cluster: somebody may be
	// creating the resource there right now.
	RefusedMax time.Duration
	// Nudge is the least time between two nudges of one resource; it doubles up to NudgeMax.
	Nudge, NudgeMax time.Duration
	// Orphaned is how long what was written stays though there is no resource of that name.
	Orphaned time.Duration
}

// DefaultTiming is for production.
func DefaultTiming() Timing {
	return Timing{
		Wait: peer.MaxWait, Unheld: time.Minute,
		RetryMin: 200 * time.Millisecond, RetryMax: 30 * time.Second, RefusedMax: 10 * time.Second,
		Nudge: 5 * time.Second, NudgeMax: 5 * time.Minute,
		Orphaned: time.Minute,
	}
}

// Watcher watches the peers of all resources of one kind.
type Watcher struct {
	Kind   Kind
	Client dynamic.Interface
	// Namespace of the ConfigMap Kind.Revisions.
	Namespace string
	Peers     Fetcher
	// Token makes a token of that scope for the cluster with that UUID.
	Token   func(clusterUUID, scope string) (string, error)
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	Timing  Timing

	// writing is what goes into the ConfigMap.
	writing gathering
	// sweeping is woken when there may be keys of resources that do not exist.
	sweeping onDemand
	// missing is true once it was said that there is no ConfigMap.
	missing atomic.Bool

	mu sync.Mutex
	// peers by the name of their resource. The handler of the resources, which is
	// called by one goroutine, alone changes what is in it.
	peers map[string]*peerWatch
	// written is what the ConfigMap says, by the name of the resource; it is never changed, only replaced.
	written map[string]string
	// complete is true once peers has all the resources.
	complete bool
}

// Run watches until ctx ends. It outlives a missing resource definition,
// ConfigMap or permission: what fails is retried for as long as it takes.
func (w *Watcher) Run(ctx context.Context) error {
	w.peers = map[string]*peerWatch{}
	resources, resourcesSynced, err := w.informer(source{
		objects: w.Client.Resource(w.Kind.Resource), strip: readResource,
		what: "resources of kind " + w.Kind.Name, consequence: "peers are polled as known so far",
	}, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.observe(ctx, object) },
		UpdateFunc: func(_, object any) { w.observe(ctx, object) },
		DeleteFunc: func(object any) { w.forget(lastSeen(object)) },
	})
	if err != nil {
		return err
	}
	revisions, revisionsSynced, err := w.informer(source{
		objects: w.configMaps(), name: w.Kind.Revisions, strip: readRevisions,
		what: "ConfigMap " + w.Kind.Revisions, consequence: "what other replicas write is not seen",
	}, cache.ResourceEventHandlerFuncs{
		AddFunc:    w.showAnew,
		UpdateFunc: func(_, object any) { w.show(object) },
		DeleteFunc: func(any) { w.hide() },
	})
	if err != nil {
		return err
	}
	w.writing.sendBy(ctx, w.patch)
	sweeper := newSweeper(w)
	w.sweeping.work = func() time.Duration { return sweeper.sweep(ctx) }

	var running sync.WaitGroup
	running.Go(func() { revisions.RunWithContext(ctx) })
	// Who does not know what is written would tell old news.
	if cache.WaitForCacheSync(ctx.Done(), revisionsSynced) {
		running.Go(func() { resources.RunWithContext(ctx) })
		if cache.WaitForCacheSync(ctx.Done(), resourcesSynced) {
			w.mu.Lock()
			w.complete = true
			w.mu.Unlock()
			w.sweeping.wake()
		}
	}
	running.Wait()
	w.sweeping.end()
	for _, watched := range w.peers {
		watched.stop()
	}
	w.writing.end()
	return nil
}

func (w *Watcher) observe(ctx context.Context, object any) {
	found, ok := object.(*resource)
	if !ok || ctx.Err() != nil {
		return
	}
	name, wanted := found.name, found.connection
	watched, known := w.watched(name)
	if known && watched.connection == wanted {
		watched.observe(found.blamesPeer)
		return
	}
	if known {
		watched.stop()
	}
	w.Log.Info("watching peer", "kind", w.Kind.Name, "peer", name, "endpoint", wanted.target.URL, "private", wanted.clusterUUID != "")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peers[name] = w.start(ctx, name, wanted, standing{written: w.written[name], blamesPeer: found.blamesPeer})
}

func (w *Watcher) watched(name string) (watched *peerWatch, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	watched, known = w.peers[name]
	return watched, known
}

func (w *Watcher) forget(object any) {
	gone, ok := object.(*resource)
	if !ok {
		return
	}
	watched, known := w.watched(gone.name)
	if !known {
		return
	}
	watched.stop()
	w.mu.Lock()
	delete(w.peers, gone.name)
	w.mu.Unlock()
	w.Metrics.ForgetPeer(w.Kind.label(gone.name))
	w.Log.Info("no longer watching peer", "kind", w.Kind.Name, "peer", gone.name)
	w.sweeping.wake()
}
