// Package await waits until a condition holds, with a deadline. When it does not
// hold in time, the error says what was missing last.
package await

import (
	"context"
	"fmt"
	"time"
)

// The first wait between two looks at a condition, and the longest: each is twice as long as the one before.
const (
	shortest = 2 * time.Millisecond
	longest  = 150 * time.Millisecond
)

// Until returns nil as soon as condition is done. The condition returns what is
// missing as long as it is not, or an error that ends the wait at once.
func Until(ctx context.Context, timeout time.Duration, condition func(context.Context) (done bool, missing string, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %s", timeout))
	defer cancel()
	missing := ""
	for pause := shortest; ; pause = min(2*pause, longest) {
		done, now, err := condition(ctx)
		if done || err != nil {
			return err
		}
		if ctx.Err() == nil { // else it says only that there was no time left
			missing = now
		}
		select {
		case <-ctx.Done():
			if missing == "" {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w; last: %s", context.Cause(ctx), missing)
		case <-time.After(pause):
		}
	}
}

// NotYet is a condition's answer when a request failed: that is no reason to stop waiting.
func NotYet(err error) (done bool, missing string, stop error) { return false, err.Error(), nil }
