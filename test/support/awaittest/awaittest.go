// Package awaittest has tests wait for what they expect, with a deadline.
package awaittest

import (
	"context"
	"time"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// Test is what Holds needs of a test.
type Test interface {
	Helper()
	Context() context.Context
	Fatalf(format string, values ...any)
}

// Holds fails the test unless condition returns an empty string within timeout;
// else it returns what is missing. what names the expectation and may be empty.
func Holds(t Test, timeout time.Duration, what string, condition func() (missing string)) {
	t.Helper()
	if what != "" {
		what += ": "
	}
	// A cleanup waits as well: its test's context has ended by then.
	err := await.Until(context.WithoutCancel(t.Context()), timeout, func(context.Context) (bool, string, error) {
		missing := condition()
		return missing == "", missing, nil
	})
	if err != nil {
		t.Fatalf("%s%v", what, err)
	}
}
