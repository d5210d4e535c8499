package upkeep

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

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
)

// write takes objects from the queue until it is shut down.
func (u *Upkeep) write(ctx context.Context) {
	for {
		key, over := u.queue.Get()
		if over {
			return
		}
		if ctx.Err() == nil { // what is left in the queue at the end stays undone
			u.attempt(ctx, key)
		}
		u.queue.Done(key)
	}
}

// attempt makes one object what is wanted now, and sees to it that it is tried again when that fails.
func (u *Upkeep) attempt(ctx context.Context, key federation.Key) {
	u.mu.Lock()
	step, object, existing := u.decide(key)
	told := u.told
	u.mu.Unlock()

	step, err := u.take(ctx, step, key, object, existing)
	u.mu.Lock()
	defer u.mu.Unlock()
	if namespaceGoes(err) && told == u.told {
		// And everything in it. Whoever says next what is wanted has it all compared.
		if !u.resting {
			u.logger.Info("the namespace is not there or being deleted, so no federated services are written until it is there again",
				"namespace", v1alpha1.Namespace)
		}
		u.resting, err = true, nil
	}
	if u.isStillWanted(key, object) {
		u.note(key, step, object)
	} // else it was considered again when that changed
	if err == nil {
		delete(u.unwritten, key)
		u.queue.Forget(key)
		return
	}
	if ctx.Err() != nil {
		return
	}
	before := u.unwritten[key]
	u.unwritten[key] = err
	if u.complaints.name(before, err, time.Now()) {
		u.logger.Error("could not write what a peer's service wants, will try again", "do", string(step), "kind", key.Kind,
			"namespace", v1alpha1.Namespace, "name", key.Name, "peer", object.peer, "error", err.Error())
	}
	if u.complaints.sumUp(time.Now()) {
		u.logger.Error("could not write what peers' services want, will try again", "objects", len(u.unwritten),
			"namespace", v1alpha1.Namespace, "forExample", key.Kind+" "+key.Name, "error", err.Error())
	}
	u.queue.AddRateLimited(key)
}

// isStillWanted is true when an object is still wanted, or not wanted, as it was decided about; u.mu is held.
func (u *Upkeep) isStillWanted(key federation.Key, decided wanted) bool {
	now := u.wanted[key]
	return now.peer == decided.peer && now.sum == decided.sum
}

// take a step, and return which one it came to.
func (u *Upkeep) take(ctx context.Context, step federation.Step, key federation.Key, object wanted, existing *found) (federation.Step, error) {
	switch step {
	case federation.Create:
		return u.create(ctx, key, object)
	case federation.Bring:
		// istiod writes into the status of the same objects.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
			step, err = u.bring(ctx, key, object)
			return err
		})
		return step, err
	case federation.Remove:
		background := metav1.DeletePropagationBackground
		err := of(u.client, key.Kind).Delete(ctx, key.Name, metav1.DeleteOptions{
			PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &existing.UID},
		})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return step, err
	case federation.Leave, federation.Taken:
	}
	return step, nil
}

func (u *Upkeep) create(ctx context.Context, key federation.Key, object wanted) (federation.Step, error) {
	whole, err := object.whole(key)
	if err != nil {
		return federation.Create, err
	}
	_, err = of(u.client, key.Kind).Create(ctx, whole.Unstructured(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// The watch has not told yet.
		return u.bring(ctx, key, object)
	}
	return federation.Create, err
}

// bring an object that is there to what is wanted, from what the API server
// says it is now: the watch remembers no specs, and may be late.
func (u *Upkeep) bring(ctx context.Context, key federation.Key, object wanted) (federation.Step, error) {
	client := of(u.client, key.Kind)
	live, err := client.Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return federation.Bring, err
	}
	now := federation.Read(live)
	_, sum, err := encode(now.Spec)
	if err != nil {
		return federation.Bring, fmt.Errorf("encode what is there: %w", err)
	}
	step := federation.Decide(true, &now.Presence, func() bool { return now.Peer == object.peer && sum == object.sum })
	if step != federation.Bring {
		return step, nil
	}
	whole, err := object.whole(key)
	if err != nil {
		return step, err
	}
	// Of what somebody makes of it in between, nothing is seen: then the API server refuses.
	patch, err := federation.Update{Wanted: whole, Found: now}.Patch(live.GetResourceVersion())
	if err != nil {
		return step, err
	}
	encoded, err := json.Marshal(patch)
	if err != nil {
		return step, fmt.Errorf("encode the patch: %w", err)
	}
	_, err = client.Patch(ctx, key.Name, types.MergePatchType, encoded, metav1.PatchOptions{})
	return step, err
}

// whole is the object with its spec.
func (w wanted) whole(key federation.Key) (federation.Object, error) {
	object := federation.Object{Kind: key.Kind, Name: key.Name, Presence: federation.Presence{Peer: w.peer, Managed: true}}
	if err := json.Unmarshal(w.spec, &object.Spec); err != nil {
		return object, fmt.Errorf("decode what is wanted: %w", err)
	}
	return object, nil
}

// namespaceGoes is true when an object could not be made because its namespace
// is not there or on its way out.
func namespaceGoes(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}
