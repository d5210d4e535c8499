package await_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/await"
)

func TestUntilReturnsWhenTheConditionIsDone(t *testing.T) {
	looks := 0
	err := await.Until(t.Context(), time.Minute, func(context.Context) (bool, string, error) {
		looks++
		return looks == 3, "more looks", nil
	})
	if err != nil || looks != 3 {
		t.Errorf("%d looks, error %v", looks, err)
	}
}

func TestUntilReportsWhatWasMissingLast(t *testing.T) {
	err := await.Until(t.Context(), 20*time.Millisecond, func(context.Context) (bool, string, error) {
		return await.NotYet(errors.New("the Pod is not ready"))
	})
	if err == nil || !strings.Contains(err.Error(), "not within 20ms") || !strings.Contains(err.Error(), "the Pod is not ready") {
		t.Errorf("error %v", err)
	}
}

func TestUntilRetainsTheLastReportBeforeTheDeadline(t *testing.T) {
	err := await.Until(t.Context(), 20*time.Millisecond, func(ctx context.Context) (bool, string, error) {
		if ctx.Err() != nil {
			return false, "no time left", nil //nolint:nilerr // what the condition reports, not its error
		}
		return false, "the Pod is not ready", nil
	})
	if err == nil || strings.Contains(err.Error(), "no time left") {
		t.Errorf("error %v", err)
	}
}

func TestUntilEndsAtOnceWithAConditionsError(t *testing.T) {
	final := errors.New("the program ended")
	err := await.Until(t.Context(), time.Minute, func(context.Context) (bool, string, error) { return false, "", final })
	if !errors.Is(err, final) {
		t.Errorf("error %v", err)
	}
}
