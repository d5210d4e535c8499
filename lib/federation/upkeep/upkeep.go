// Package upkeep keeps the objects that peers' services want as they should be,
// in a process that lives on: it watches them, writes those that differ, many at
// once, and heals what somebody deletes or edits. What it costs follows from
// what changes, not from how much is there: at 10,000 services, one more is
// compared with nothing, and what the API server says of it is compared with it alone.
package upkeep

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

const (
	// writers is how many objects are written at once. The API server says itself
	// when that is too much (priority and fairness), so requests are not held back here.
	writers = 16
	// An object that could not be written is tried again after firstRetry, and then
	// after twice the time before, up to lastRetry.
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
)

// Logger is what the package says of failed attempts, and of when it rests.
type Logger interface {
	Info(message string, args ...any)
	Error(message string, args ...any)
}

// Upkeep of the objects of the module's namespace. It is safe for concurrent use.
type Upkeep struct {
	client  dynamic.Interface
	logger  Logger
	queue   workqueue.TypedRateLimitingInterface[federation.Key]
	watches map[string]watching

	mu sync.Mutex
	// resting is true while nothing is to be done, whatever is wanted.
	resting bool
	// told counts what was said from outside, with Want and Rest: an answer to a
	// request that was decided before the last of it says nothing about now.
	told   uint64
	plans  federation.Plans
	wanted map[federation.Key]wanted
	// unknown are peers of which nobody can tell what they offer.
	unknown map[string]bool
	// unwritten is why the last attempt at an object failed; taken are wanted objects whose name is somebody else's.
	unwritten  map[federation.Key]error
	taken      map[federation.Key]federation.Object
	complaints complaints
}

// wanted is an object as it should be, in as little memory as may be.
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

// New returns an upkeep that rests until it is told what is wanted. The client
// should not limit its rate: how much is written at once is limited here.
func New(client dynamic.Interface, logger Logger) *Upkeep {
	u := &Upkeep{
		client: client, logger: logger, resting: true,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[federation.Key](firstRetry, lastRetry)),
		watches: map[string]watching{}, wanted: map[federation.Key]wanted{},
		unwritten: map[federation.Key]error{}, taken: map[federation.Key]federation.Object{},
	}
	for kind := range resources {
		u.watches[kind] = watchKind(client, kind, u.look)
	}
	return u
}

// Run watches and writes until ctx ends.
func (u *Upkeep) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, watched := range u.watches {
		running.Go(func() { watched.controller.RunWithContext(ctx) })
	}
	if u.Synced(ctx) == nil {
		for range writers {
			running.Go(func() { u.write(ctx) })
		}
	}
	<-ctx.Done()
	u.queue.ShutDown()
	running.Wait()
}

// Synced returns when everything that is there is known, or the reason why ctx ended.
func (u *Upkeep) Synced(ctx context.Context) error {
	for kind, watched := range u.watches {
		if !cache.WaitForCacheSync(ctx.Done(), watched.controller.HasSynced) {
			return fmt.Errorf("watch resources of kind %s: %w: does the API server know them, and may the operator list and watch them?", kind, context.Cause(ctx))
		}
	}
	return nil
}

// Want says what all accepted peers offer from now on, and returns how many
// objects are wanted that were not, or not so, and how many are not any more.
// They are written soon, not at once. What the peers hold must not be changed afterwards.
func (u *Upkeep) Want(peers []federation.Peer) (changed, gone int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told++
	before := u.unknown
	u.unknown = federation.Unknown(peers)
	objects, keys := u.plans.Next(peers)
	touched := make(map[federation.Key]bool, len(objects)+len(keys))
	for _, key := range keys {
		if _, was := u.wanted[key]; was {
			delete(u.wanted, key)
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
		if earlier, was := u.wanted[key]; !was || earlier.sum != sum || earlier.peer != object.Peer {
			u.wanted[key] = wanted{peer: object.Peer, spec: spec, sum: sum}
			touched[key] = true
		}
	}
	for key := range touched {
		if _, stays := u.wanted[key]; stays {
			changed++
		} else {
			gone++
		}
	}
	if u.resting || !maps.Equal(before, u.unknown) {
		u.resting = false
		u.all(u.consider) // at once, whatever failed before the rest
		return changed, gone, errors.Join(errs...)
	}
	for key := range touched {
		u.consider(key)
	}
	return changed, gone, errors.Join(errs...)
}

// Rest stops writing until Want is called again: while the namespace is not
// there, or is on its way out.
func (u *Upkeep) Rest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told++
	u.resting = true
}

// Compare looks at everything once, which is for a schedule: should an event
// ever be missed, the difference does not last. It reads memory only. An object
// that could not be written waits for its next attempt all the same.
func (u *Upkeep) Compare() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all(func(key federation.Key) {
		if u.unwritten[key] == nil {
			u.consider(key)
		}
	})
}

// all calls look for everything that is wanted or there; u.mu is held.
func (u *Upkeep) all(look func(federation.Key)) {
	for key := range u.wanted {
		look(key)
	}
	for kind, watched := range u.watches {
		for _, name := range watched.store.ListKeys() {
			if _, itemName, err := cache.SplitMetaNamespaceKey(name); err == nil {
				look(federation.Key{Kind: kind, Name: itemName})
			}
		}
	}
}

// look is told that an object has come, changed or gone.
func (u *Upkeep) look(key federation.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.consider(key)
}

// consider queues an object that something has to happen to; u.mu is held.
func (u *Upkeep) consider(key federation.Key) {
	step, object, _ := u.decide(key)
	u.note(key, step, object)
	if step != federation.Leave && step != federation.Taken {
		u.queue.Add(key)
	}
}

// note whose name is somebody else's; u.mu is held.
func (u *Upkeep) note(key federation.Key, step federation.Step, object wanted) {
	if step == federation.Taken {
		u.taken[key] = federation.Object{Kind: key.Kind, Name: key.Name, Presence: federation.Presence{Peer: object.peer, Managed: true}}
	} else {
		delete(u.taken, key)
	}
}

// decide what has to happen to an object; u.mu is held.
func (u *Upkeep) decide(key federation.Key) (federation.Step, wanted, *found) {
	if u.resting {
		return federation.Leave, wanted{}, nil
	}
	object, isWanted := u.wanted[key]
	existing := u.watches[key.Kind].get(key.Name)
	var presence *federation.Presence
	if existing != nil {
		presence = &existing.Presence
	}
	if !isWanted && existing != nil && u.unknown[existing.Peer] {
		return federation.Leave, object, existing
	}
	return federation.Decide(isWanted, presence, func() bool {
		return existing.Peer == object.peer && existing.sum == object.sum
	}), object, existing
}

// Troubles is what cannot be as it is wanted.
type Troubles struct {
	// Unwritten counts objects whose last attempt failed, by the peer they are
	// wanted for; "" for those that should go.
	Unwritten map[string]int
	// Taken are wanted objects whose name belongs to an object of somebody else, in no order.
	Taken []federation.Object
}

// Troubles returns what cannot be as it is wanted now.
func (u *Upkeep) Troubles() Troubles {
	u.mu.Lock()
	defer u.mu.Unlock()
	troubles := Troubles{Unwritten: map[string]int{}}
	for key := range u.unwritten {
		troubles.Unwritten[u.wanted[key].peer]++
	}
	for _, object := range u.taken {
		troubles.Taken = append(troubles.Taken, object)
	}
	return troubles
}
