package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
)

// write takes objects from the queue until it is shut down.
func (s *Syncer) write(ctx context.Context) {
	for {
		key, shutDown := s.queue.Get()
		if shutDown {
			return
		}
		if ctx.Err() == nil { // what is in the queue at the end is not done
			s.attempt(ctx, key)
		}
		s.queue.Done(key)
	}
}

// attempt makes one object what is wanted now; one that fails is queued again.
func (s *Syncer) attempt(ctx context.Context, key federation.Key) {
	s.mu.Lock()
	step, object, existing := s.decide(key)
	calls := s.calls
	s.mu.Unlock()

	step, err := s.do(ctx, step, key, object, existing)
	s.mu.Lock()
	defer s.mu.Unlock()
	if namespaceMissing(err) && calls == s.calls {
		// So is everything in it. The next Sync compares all objects.
		if !s.paused {
			s.logger.Info("the namespace does not exist or is being deleted; federated services are not written until it exists again",
				"namespace", v1alpha1.Namespace)
		}
		s.paused, err = true, nil
	}
	if s.isStillWanted(key, object) {
		s.noteConflict(key, step, object)
	} // else it was enqueued again when that changed
	if err == nil {
		delete(s.unwritten, key)
		s.queue.Forget(key)
		return
	}
	if ctx.Err() != nil {
		return
	}
	before := s.unwritten[key]
	s.unwritten[key] = err
	if s.logLimit.allow(before, err, time.Now()) {
		s.logger.Error("could not write an object for a peer's service, will try again", "do", string(step), "kind", key.Kind,
			"namespace", v1alpha1.Namespace, "name", key.Name, "peer", object.peer, "error", err.Error())
	}
	if s.logLimit.summaryDue(time.Now()) {
		s.logger.Error("could not write objects for peers' services, will try again", "objects", len(s.unwritten),
			"namespace", v1alpha1.Namespace, "forExample", key.Kind+" "+key.Name, "error", err.Error())
	}
	s.queue.AddRateLimited(key)
}

// isStillWanted is true when an object is still wanted, or still not wanted, as when the step was decided; s.mu is held.
func (s *Syncer) isStillWanted(key federation.Key, decided wanted) bool {
	now := s.wanted[key]
	return now.peer == decided.peer && now.sum == decided.sum
}

// do the step, and return which one was needed in the end.
func (s *Syncer) do(ctx context.Context, step federation.Step, key federation.Key, object wanted, existing *found) (federation.Step, error) {
	switch step {
	case federation.Create:
		return s.create(ctx, key, object)
	case federation.Update:
		// istiod writes into the status of the same objects.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
			step, err = s.update(ctx, key, object)
			return err
		})
		return step, err
	case federation.Delete:
		background := metav1.DeletePropagationBackground
		err := of(s.client, key.Kind).Delete(ctx, key.Name, metav1.DeleteOptions{
			PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &existing.UID},
		})
		return step, ctrlclient.IgnoreNotFound(err)
	case federation.Leave, federation.NameConflict:
	}
	return step, nil
}

func (s *Syncer) create(ctx context.Context, key federation.Key, object wanted) (federation.Step, error) {
	whole, err := object.whole(key)
	if err != nil {
		return federation.Create, err
	}
	_, err = of(s.client, key.Kind).Create(ctx, whole.Unstructured(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// The watch does not have it yet.
		return s.update(ctx, key, object)
	}
	return federation.Create, err
}

// update an existing object to what is wanted, from what the API server returns
// now: the watch remembers no specs, and may be late.
func (s *Syncer) update(ctx context.Context, key federation.Key, object wanted) (federation.Step, error) {
	client := of(s.client, key.Kind)
	live, err := client.Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return federation.Update, err
	}
	now := federation.Read(live)
	_, sum, err := encode(now.Spec)
	if err != nil {
		return federation.Update, fmt.Errorf("encode the existing object: %w", err)
	}
	step := federation.Decide(true, &now.State, func() bool { return now.Peer == object.peer && sum == object.sum })
	if step != federation.Update {
		return step, nil
	}
	whole, err := object.whole(key)
	if err != nil {
		return step, err
	}
	// When the object has changed in between, the API server rejects the patch.
	patch, err := federation.Change{Wanted: whole, Found: now}.Patch(live.GetResourceVersion())
	if err != nil {
		return step, err
	}
	_, err = client.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return step, err
}

// whole is the object with its spec.
func (w wanted) whole(key federation.Key) (federation.Object, error) {
	object := federation.Object{Kind: key.Kind, Name: key.Name, State: federation.State{Peer: w.peer, Managed: true}}
	if err := json.Unmarshal(w.spec, &object.Spec); err != nil {
		return object, fmt.Errorf("decode the wanted object: %w", err)
	}
	return object, nil
}

// namespaceMissing is true when an object could not be written because its namespace
// does not exist or is being deleted.
func namespaceMissing(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
