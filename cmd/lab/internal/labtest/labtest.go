// Package labtest helps tests of what a lab runs in the background.
package labtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	clienttesting "k8s.io/client-go/testing"
)

// deadline is generous: it is only waited for when something is wrong.
const deadline = 20 * time.Second

// Run runs what works until its context ends beside the test. stop ends it and
// waits for that; an error, or no end, fails the test. Whoever does not call
// it has it called when the test is over.
func Run(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("what runs in the background ends with an error: %v", err)
			}
		case <-time.After(deadline):
			t.Errorf("what runs in the background does not end within %s", deadline)
		}
	})
	t.Cleanup(stop)
	return stop
}

// AwaitWatches waits until a fake client is asked to watch each of the
// resources. A watch of a fake API server begins when it is asked for: what is
// written between an informer's list and its watch, the informer never sees.
func AwaitWatches(t *testing.T, client interface{ Actions() []clienttesting.Action }, resources ...string) {
	t.Helper()
	var missing []string
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		actions := client.Actions()
		missing = slices.DeleteFunc(slices.Clone(resources), func(resource string) bool {
			return slices.ContainsFunc(actions, func(action clienttesting.Action) bool { return action.Matches("watch", resource) })
		})
		if len(missing) == 0 {
			return
		}
	}
	t.Fatalf("not within %s: watches of %v", deadline, missing)
}
