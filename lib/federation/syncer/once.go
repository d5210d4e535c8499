package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/deckhouse-mesh/istio/lib/federation"
)

// Once writes the changes once, many at a time, for a process of a single run, and
// returns why objects could not be written. A namespace that does not exist or is being
// deleted is none of these reasons. What was compared may be older than the last
// write: an object that exists by now, or does not any more, is for the next run to compare.
func Once(ctx context.Context, client dynamic.Interface, changes federation.Changes) map[federation.Key]error {
	var mu sync.Mutex
	unwritten := map[federation.Key]error{}
	var running errgroup.Group
	running.SetLimit(writers)
	write := func(key federation.Key, do func() error) {
		running.Go(func() error {
			if err := do(); err != nil && !namespaceMissing(err) {
				mu.Lock()
				defer mu.Unlock()
				unwritten[key] = err
			}
			return nil
		})
	}
	for _, object := range changes.Create {
		write(object.Key(), func() error {
			_, err := of(client, object.Kind).Create(ctx, object.Unstructured(), metav1.CreateOptions{})
			return ctrlclient.IgnoreAlreadyExists(err)
		})
	}
	for _, difference := range changes.Update {
		write(difference.Wanted.Key(), func() error { return patchOnce(ctx, client, difference) })
	}
	for _, object := range changes.Delete {
		write(object.Key(), func() error {
			background := metav1.DeletePropagationBackground
			err := of(client, object.Kind).Delete(ctx, object.Name, metav1.DeleteOptions{PropagationPolicy: &background})
			return ctrlclient.IgnoreNotFound(err)
		})
	}
	_ = running.Wait() // no write returns an error: each is in unwritten
	return unwritten
}

func patchOnce(ctx context.Context, client dynamic.Interface, difference federation.Difference) error {
	patch, err := difference.Patch("")
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode the patch: %w", err)
	}
	_, err = of(client, difference.Wanted.Kind).Patch(ctx, difference.Wanted.Name, types.MergePatchType, encoded, metav1.PatchOptions{})
	return ctrlclient.IgnoreNotFound(err)
}
