// Package watcher notices at once when a peer's metadata changes: it holds a long
// poll on each peer and pokes the IstioFederation or IstioMulticluster, which
// wakes the discovery hook. It judges nothing and stores nothing; while it does not
// run, the hook's own schedule does the same work within a minute.
package watcher

import (
	"context"
	"fmt"
	"log/slog"
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
}

// DefaultTiming is for production.
func DefaultTiming() Timing {
	return Timing{
		Wait: peer.MaxWait, Unheld: time.Minute,
		RetryMin: 200 * time.Millisecond, RetryMax: 30 * time.Second, RefusedMax: 10 * time.Second,
		Nudge: 5 * time.Second, NudgeMax: 5 * time.Minute,
	}
}

// Watcher watches the peers of all resources of one kind.
type Watcher struct {
	Kind   Kind
	Client dynamic.Interface
	Peers  Fetcher
	// Token makes a token of that scope for the cluster with that UUID.
	Token   func(clusterUUID, scope string) (string, error)
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	Timing  Timing

	// peers by the name of their resource; only the informer's handler, which
	// is called by one goroutine, and what follows it touch it.
	peers map[string]*peerWatch
}

// Run watches until ctx ends. It outlives a missing resource definition or
// permission: the list is retried for as long as it takes.
func (w *Watcher) Run(ctx context.Context) error {
	w.peers = map[string]*peerWatch{}
	informer := newInformer(w.Client, w.Kind.Resource)
	if err := informer.SetTransform(strip); err != nil {
		return fmt.Errorf("prepare to watch resources of kind %s: %w", w.Kind.Name, err)
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			w.Log.Warn("list or watch failed; peers are polled as known so far, retrying", "kind", w.Kind.Name, "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("prepare to watch resources of kind %s: %w", w.Kind.Name, err)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.observe(ctx, object) },
		UpdateFunc: func(_, object any) { w.observe(ctx, object) },
		DeleteFunc: w.forget,
	})
	if err != nil {
		return fmt.Errorf("prepare to watch resources of kind %s: %w", w.Kind.Name, err)
	}
	informer.RunWithContext(ctx)
	for _, watched := range w.peers {
		watched.stop()
	}
	return nil
}

func (w *Watcher) observe(ctx context.Context, object any) {
	found, ok := object.(*resource)
	if !ok || ctx.Err() != nil {
		return
	}
	name, wanted, stands := found.name, found.connection, found.standing
	watched, known := w.peers[name]
	if known && watched.connection == wanted {
		watched.observe(stands)
		return
	}
	if known {
		watched.stop()
	}
	w.Log.Info("watching peer", "kind", w.Kind.Name, "peer", name, "endpoint", wanted.target.URL, "private", wanted.clusterUUID != "")
	w.peers[name] = w.start(ctx, name, wanted, stands)
}

func (w *Watcher) forget(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	gone, ok := object.(*resource)
	if !ok {
		return
	}
	name := gone.name
	if watched, known := w.peers[name]; known {
		watched.stop()
		delete(w.peers, name)
		w.Metrics.ForgetPeer(w.Kind.label(name))
		w.Log.Info("no longer watching peer", "kind", w.Kind.Name, "peer", name)
	}
}
