// Package await is for tests that wait for a condition.
package await

import (
	"testing"
	"time"
)

// Deadline is how long a test waits for what should come within milliseconds.
const Deadline = 10 * time.Second

// Until waits until condition returns an empty string, or fails with its last complaint.
func Until(tb testing.TB, condition func() (complaint string)) {
	tb.Helper()
	deadline := time.Now().Add(Deadline)
	for {
		complaint := condition()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("after %s: %s", Deadline, complaint)
		}
		time.Sleep(2 * time.Millisecond) // between checks of the condition
	}
}
