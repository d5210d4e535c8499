package awaittest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/awaittest"
)

// recorder is a test that records its failure.
type recorder struct {
	*testing.T
	failure string
}

func (r *recorder) Fatalf(format string, values ...any) { r.failure = fmt.Sprintf(format, values...) }

func TestHoldsFailsTheTestWithWhatIsMissing(t *testing.T) {
	test := &recorder{T: t}
	awaittest.Holds(test, 10*time.Millisecond, "two Pods are ready", func() string { return "one Pod" })
	if want := "two Pods are ready: not within 10ms; last: one Pod"; test.failure != want {
		t.Errorf("failure %q, want %q", test.failure, want)
	}
	test.failure = ""
	awaittest.Holds(test, time.Minute, "", func() string { return "" })
	if test.failure != "" {
		t.Errorf("failure %q", test.failure)
	}
}
