package syncer

import (
	"context"
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
func Once(ctx context.Context, client dynamic.Interface, changes []federation.Change) map[federation.Key]error {
	var mu sync.Mutex
	unwritten := map[federation.Key]error{}
	var running errgroup.Group
	running.SetLimit(writers)
	for _, change := range changes {
		running.Go(func() error {
			if err := writeOnce(ctx, client, change); err != nil && !namespaceMissing(err) {
				mu.Lock()
				defer mu.Unlock()
				unwritten[change.Key()] = err
			}
			return nil
		})
	}
	_ = running.Wait() // no write returns an error: each is in unwritten
	return unwritten
}

func writeOnce(ctx context.Context, client dynamic.Interface, change federation.Change) error {
	key := change.Key()
	objects := of(client, key.Kind)
	switch change.Step {
	case federation.Create:
		_, err := objects.Create(ctx, change.Wanted.Unstructured(), metav1.CreateOptions{})
		return ctrlclient.IgnoreAlreadyExists(err)
	case federation.Update:
		patch, err := change.Patch("")
		if err != nil {
			return err
		}
		_, err = objects.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		return ctrlclient.IgnoreNotFound(err)
	case federation.Delete:
		background := metav1.DeletePropagationBackground
		return ctrlclient.IgnoreNotFound(objects.Delete(ctx, key.Name, metav1.DeleteOptions{PropagationPolicy: &background}))
	case federation.Leave, federation.NameConflict:
	}
	return nil
}
