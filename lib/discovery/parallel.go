package discovery

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// guarded is a visit to one peer that outlives a panic.
type guarded interface {
	guard(do func())
	// waitedFor is told how long the peer kept this cluster waiting.
	waitedFor(time.Duration)
}

func inParallel[V guarded](visits []V, do func(V)) {
	var group errgroup.Group
	group.SetLimit(parallelFetches)
	for _, v := range visits {
		group.Go(func() error {
			begun := time.Now()
			v.guard(func() { do(v) })
			v.waitedFor(time.Since(begun))
			return nil
		})
	}
	_ = group.Wait()
}

// stumbled turns a panic over one peer's answer into that peer's condition: it must not cost the others theirs.
func stumbled(panicked any) error {
	return &judgement{ReasonInternalError, fmt.Sprintf(
		"the peer's answer made this module stumble, please report it: %v. What was learned before stays in force.", panicked)}
}
