// Package syncer makes the objects for peers' services what is wanted, in a
// process that continues between runs: it watches them, writes those that differ, many at
// once, and restores what is deleted or edited. Its cost depends on what changes, not on
// how much exists: at 10,000 services, one more is compared with no other object.
package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

const (
	// writers is how many objects are written at once. The API server itself limits
	// requests (priority and fairness), so they are not delayed here.
	writers = 16
	// An object that could not be written is tried again after firstRetry, and then
	// each time after twice as long, up to lastRetry.
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
)

// Logger gets failed attempts, and when the syncer pauses.
type Logger interface {
	Info(message string, args ...any)
	Error(message string, args ...any)
}

// Syncer of the objects in the module's namespace. It is safe for concurrent use.
type Syncer struct {
	client  dynamic.Interface
	logger  Logger
	queue   workqueue.TypedRateLimitingInterface[federation.Key]
	watches map[string]watching

	mu sync.Mutex
	// paused is true while nothing is written, whatever is wanted.
	paused bool
	// calls counts those of Sync and Pause: the answer to a request that was decided
	// before the last of them does not pause the syncer.
	calls  uint64
	plans  federation.Plans
	wanted map[federation.Key]wanted
	// unknown are peers whose offer is not known.
	unknown map[string]bool
	// unwritten is why the last attempt at an object failed; conflicts are wanted objects whose name belongs to another owner's.
	unwritten map[federation.Key]error
	conflicts map[federation.Key]federation.Object
	logLimit  logLimit
}

// wanted is an object as it should be, in little memory.
type wanted struct {
	peer string
	// spec is JSON and sum its fingerprint.
	spec []byte
	sum  fingerprint
}

// fingerprint of a spec: equal for equal ones.
type fingerprint [sha256.Size]byte

// encode returns a spec as JSON, keys sorted, with its fingerprint.
func encode(spec map[string]any) ([]byte, fingerprint, error) {
	encoded, err := json.Marshal(spec)
	if err != nil {
		return nil, fingerprint{}, err
	}
	return encoded, sha256.Sum256(encoded), nil
}

// New returns a syncer that is paused until the first Sync. The client should not
// limit its rate: how much is written at once is limited here.
func New(client dynamic.Interface, logger Logger) *Syncer {
	s := &Syncer{
		client: client, logger: logger, paused: true,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[federation.Key](firstRetry, lastRetry)),
		watches: map[string]watching{}, wanted: map[federation.Key]wanted{},
		unwritten: map[federation.Key]error{}, conflicts: map[federation.Key]federation.Object{},
	}
	for kind := range resources {
		s.watches[kind] = watchKind(client, kind, s.enqueue)
	}
	return s
}

// Run watches and writes until ctx ends.
func (s *Syncer) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, watched := range s.watches {
		running.Go(func() { watched.controller.RunWithContext(ctx) })
	}
	if s.WaitForCache(ctx) == nil {
		for range writers {
			running.Go(func() { s.write(ctx) })
		}
	}
	<-ctx.Done()
	s.queue.ShutDown()
	running.Wait()
}

// WaitForCache returns when all existing objects are known, or the reason why ctx ended.
func (s *Syncer) WaitForCache(ctx context.Context) error {
	for kind, watched := range s.watches {
		if !cache.WaitForCacheSync(ctx.Done(), watched.controller.HasSynced) {
			return fmt.Errorf("watch resources of kind %s: %w: does the API server know them, and may the operator list and watch them?", kind, context.Cause(ctx))
		}
	}
	return nil
}

// Sync makes what all accepted peers offer the objects that are wanted from now on,
// and returns how many wanted objects are new or changed, and how many are not
// wanted any more. They are written soon, not at once. The contents of peers must not be changed afterwards.
func (s *Syncer) Sync(peers []federation.Peer) (changed, removed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	before := s.unknown
	s.unknown = federation.Unknown(peers)
	objects, keys := s.plans.Next(peers)
	touched := make(map[federation.Key]bool, len(objects)+len(keys))
	for _, key := range keys {
		if _, was := s.wanted[key]; was {
			delete(s.wanted, key)
			touched[key] = true
		}
	}
	var errs []error
	for _, object := range objects {
		key := object.Key()
		spec, sum, err := encode(object.Spec)
		if err != nil { // made here of strings and numbers
			errs = append(errs, fmt.Errorf("encode %s %q: %w", key.Kind, key.Name, err))
			continue
		}
		if earlier, was := s.wanted[key]; !was || earlier.sum != sum || earlier.peer != object.Peer {
			s.wanted[key] = wanted{peer: object.Peer, spec: spec, sum: sum}
			touched[key] = true
		}
	}
	for key := range touched {
		if _, retained := s.wanted[key]; retained {
			changed++
		} else {
			removed++
		}
	}
	if s.paused || !maps.Equal(before, s.unknown) {
		s.paused = false
		s.all(s.enqueueLocked) // at once, whatever failed before the pause
		return changed, removed, errors.Join(errs...)
	}
	for key := range touched {
		s.enqueueLocked(key)
	}
	return changed, removed, errors.Join(errs...)
}

// Pause stops writing until Sync is called again: while the namespace does not
// exist or is being deleted.
func (s *Syncer) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.paused = true
}

// Compare compares all objects once. Called on a schedule, it finds differences whose
// event was missed. It reads memory only. An object that could not be written waits
// for its next attempt all the same.
func (s *Syncer) Compare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all(func(key federation.Key) {
		if s.unwritten[key] == nil {
			s.enqueueLocked(key)
		}
	})
}

// all calls do for every object that is wanted or exists; s.mu is held.
func (s *Syncer) all(do func(federation.Key)) {
	for key := range s.wanted {
		do(key)
	}
	for kind, watched := range s.watches {
		for _, name := range watched.store.ListKeys() {
			if _, itemName, err := cache.SplitMetaNamespaceKey(name); err == nil {
				do(federation.Key{Kind: kind, Name: itemName})
			}
		}
	}
}

// enqueue is enqueueLocked for the informers.
func (s *Syncer) enqueue(key federation.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueueLocked(key)
}

// enqueueLocked queues an object for a step, unless none is needed; s.mu is held.
func (s *Syncer) enqueueLocked(key federation.Key) {
	step, object, _ := s.decide(key)
	s.noteConflict(key, step, object)
	if step != federation.Leave && step != federation.NameConflict {
		s.queue.Add(key)
	}
}

// noteConflict remembers whether the object's name belongs to another owner's; s.mu is held.
func (s *Syncer) noteConflict(key federation.Key, step federation.Step, object wanted) {
	if step == federation.NameConflict {
		s.conflicts[key] = federation.Object{Kind: key.Kind, Name: key.Name, State: federation.State{Peer: object.peer, Managed: true}}
	} else {
		delete(s.conflicts, key)
	}
}

// decide what has to happen to an object; s.mu is held.
func (s *Syncer) decide(key federation.Key) (federation.Step, wanted, *found) {
	if s.paused {
		return federation.Leave, wanted{}, nil
	}
	object, isWanted := s.wanted[key]
	existing := s.watches[key.Kind].get(key.Name)
	var state *federation.State
	if existing != nil {
		state = &existing.State
	}
	if !isWanted && existing != nil && s.unknown[existing.Peer] {
		return federation.Leave, object, existing
	}
	return federation.Decide(isWanted, state, func() bool {
		return existing.Peer == object.peer && existing.sum == object.sum
	}), object, existing
}

// Problems are objects that are not as wanted.
type Problems struct {
	// Unwritten counts objects whose last attempt failed.
	Unwritten int
	// NameConflicts are wanted objects whose name belongs to another owner's object, in no order.
	NameConflicts []federation.Object
}

// Problems returns the objects that are not as wanted now.
func (s *Syncer) Problems() Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Problems{Unwritten: len(s.unwritten), NameConflicts: slices.Collect(maps.Values(s.conflicts))}
}
