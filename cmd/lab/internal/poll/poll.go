// Package poll waits for conditions.
package poll

import (
	"context"
	"fmt"
	"time"
)

const interval = 150 * time.Millisecond

// Until asks until it is done. The condition returns what is still missing, for
// the error of a wait that was in vain, and an error that ends the wait at once.
func Until(ctx context.Context, timeout time.Duration, condition func(context.Context) (done bool, missing string, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %s", timeout))
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	missing := ""
	for {
		done, now, err := condition(ctx)
		if done || err != nil {
			return err
		}
		if ctx.Err() == nil { // else it says no more than that there was no time left
			missing = now
		}
		select {
		case <-ctx.Done():
			if missing == "" {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w; last: %s", context.Cause(ctx), missing)
		case <-ticker.C:
		}
	}
}

// NotYet is a condition's answer when asking failed: that is no reason to stop waiting.
func NotYet(err error) (done bool, missing string, stop error) { return false, err.Error(), nil }
