// Package watcher notices at once when a peer's metadata changes: it holds a long
// poll on each peer and pokes. A poke writes a new value into the ConfigMap of the
// resource's kind, under the resource's name, which wakes the discovery hook. The
// watcher decides nothing and stores nothing; while it does not run, the hook's own
// schedule does the same work within a minute.
package watcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Fetcher fetches peers' documents; *peer.Client is one.
type Fetcher interface {
	Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error)
}

// Timing is every duration of the watcher.
type Timing struct {
	// Wait is how long a peer is asked to hold an answer.
	Wait time.Duration
	// Cut is from how long on a held request that breaks off was cut by something on
	// the way, as load balancers do with connections that are idle; ShortestWait is the least
	// that a peer is asked to hold answers for then.
	Cut, ShortestWait time.Duration
	// Unheld is the least time between polls of a peer that does not hold answers.
	Unheld time.Duration
	// RetryMin and RetryMax bound the back-off after a failure.
	RetryMin, RetryMax time.Duration
	// RejectedMax bounds it while the peer rejects this cluster: a person may be
	// creating the resource there right now.
	RejectedMax time.Duration
	// Nudge is the least time between two nudges of one resource; it doubles up to NudgeMax.
	Nudge, NudgeMax time.Duration
	// Orphaned is how long a key stays in the ConfigMap without a resource of its name.
	Orphaned time.Duration
}

// DefaultTiming is for production.
func DefaultTiming() Timing {
	return Timing{
		Wait: peer.MaxWait, Cut: 3 * time.Second, ShortestWait: 5 * time.Second, Unheld: time.Minute,
		RetryMin: 200 * time.Millisecond, RetryMax: 30 * time.Second, RejectedMax: 10 * time.Second,
		Nudge: 5 * time.Second, NudgeMax: 5 * time.Minute,
		Orphaned: time.Minute,
	}
}

// Watcher watches the peers of all resources of one kind.
type Watcher struct {
	Kind   Kind
	Client dynamic.Interface
	// Namespace of Kind.ConfigMap.
	Namespace string
	Peers     Fetcher
	// Token makes a token of that scope for the cluster with that UUID.
	Token   func(clusterUUID, scope string) (string, error)
	Metrics *Metrics
	Log     *slog.Logger
	Timing  Timing

	// changed is set when there may be something to write.
	changed informer.Signal
	// missing is true once it was logged that there is no ConfigMap.
	missing atomic.Bool

	mu sync.Mutex
	// peers by the name of their resource. Only the handler of the resources, which
	// one goroutine calls, changes it, and reads it without mu.
	peers map[string]*peerWatch
	// written is the data of the ConfigMap, by the name of the resource; it is never changed, only replaced.
	written map[string]string
	// complete is true once peers has all the resources.
	complete bool
	// awaited are the informers whose first lists make it complete, in their order.
	awaited []*informer.Informer
}

// Ready returns nil once the watcher watches the peers of all resources, and before that the reason why it does not.
func (w *Watcher) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.complete {
		return nil
	}
	for _, each := range w.awaited {
		if err := each.Ready(); err != nil {
			return err
		}
	}
	return errors.New("waiting for the first list of resources of kind " + w.Kind.Name)
}

// Run watches until ctx ends. It outlives a missing resource definition,
// ConfigMap or permission: what fails is retried for as long as it takes.
func (w *Watcher) Run(ctx context.Context) error {
	w.peers, w.changed = map[string]*peerWatch{}, informer.NewSignal()
	resources, err := w.resourceInformer(ctx)
	if err != nil {
		return err
	}
	configMap, err := w.configMapInformer()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.awaited = []*informer.Informer{configMap, resources}
	w.mu.Unlock()

	var running sync.WaitGroup
	running.Go(func() { newWriter(w).run(ctx) })
	// A replica that does not know what is written would report old versions.
	if informer.Start(ctx, &running, configMap) && informer.Start(ctx, &running, resources) {
		w.mu.Lock()
		w.complete = true
		w.mu.Unlock()
		w.changed.Set()
	}
	running.Wait()
	for _, watched := range w.peers {
		watched.stop()
	}
	return nil
}

func (w *Watcher) resourceInformer(ctx context.Context) (*informer.Informer, error) {
	return informer.New(informer.Source[*unstructured.UnstructuredList]{
		Reader: w.Client.Resource(w.Kind.Resource), Client: w.Client,
		Example: &unstructured.Unstructured{}, Name: "resources of kind " + w.Kind.Name,
		Strip: informer.Stripping(readResource), Consequence: "known peers are still polled",
	}, w.Log, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.observe(ctx, object) },
		UpdateFunc: func(_, object any) { w.observe(ctx, object) },
		DeleteFunc: func(object any) { w.forget(informer.LastSeen(object)) },
	})
}

func (w *Watcher) configMapInformer() (*informer.Informer, error) {
	return informer.New(informer.Source[*unstructured.UnstructuredList]{
		Reader: w.configMaps(), Client: w.Client,
		Example: &unstructured.Unstructured{}, Name: "ConfigMap " + w.Kind.ConfigMap, Select: informer.Named(w.Kind.ConfigMap),
		Strip: informer.Stripping(readConfigMap), Consequence: "what other replicas write is not seen",
	}, w.Log, cache.ResourceEventHandlerFuncs{
		AddFunc:    w.configMapCreated,
		UpdateFunc: func(_, object any) { w.configMapChanged(object) },
		DeleteFunc: func(any) { w.configMapDeleted() },
	})
}

// observe starts the watch of a new peer, or updates or restarts the one that there is.
func (w *Watcher) observe(ctx context.Context, object any) {
	found, ok := object.(*resource)
	if !ok || ctx.Err() != nil {
		return
	}
	name, wanted := found.Name, found.connection
	watched, known := w.peers[name]
	if known && watched.connection == wanted {
		watched.change(func() { watched.state.blamesPeer = found.blamesPeer })
		return
	}
	if known {
		watched.stop()
	}
	w.Log.Info("watching peer", "kind", w.Kind.Name, "peer", name, "endpoint", wanted.target.URL, "private", wanted.clusterUUID != "")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peers[name] = w.start(ctx, name, wanted, state{written: w.written[name], blamesPeer: found.blamesPeer})
}

// forget ends the watch of a peer whose resource was deleted.
func (w *Watcher) forget(object any) {
	deleted, ok := object.(*resource)
	if !ok {
		return
	}
	watched, known := w.peers[deleted.Name]
	if !known {
		return
	}
	watched.stop()
	w.mu.Lock()
	delete(w.peers, deleted.Name)
	w.mu.Unlock()
	w.Metrics.forgetPeer(w.Kind.label(deleted.Name))
	w.Log.Info("no longer watching peer", "kind", w.Kind.Name, "peer", deleted.Name)
	w.changed.Set()
}
