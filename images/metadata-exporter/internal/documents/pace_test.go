package documents

import (
	"context"
	"testing"
	"time"
)

func TestVersionsAreMadeAsChangesComeAndTheirBytesAreBounded(t *testing.T) {
	const document = 4 << 20
	pace := NewPace()
	// Reservations show the delays without waiting for them.
	now := time.Now()
	delay := func() time.Duration { return pace.limiter.ReserveN(now, document).DelayFrom(now) }
	for range paceBurst / document {
		if wait := delay(); wait != 0 {
			t.Fatalf("a version of the burst waits for %s", wait)
		}
	}
	if wait := delay(); wait != time.Second*document/paceBytes {
		t.Errorf("the next one waits for %s", wait)
	}
	if !NewPace().Wait(t.Context(), 2*paceBurst) {
		t.Error("a version larger than the burst is never followed by another")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if pace.Wait(ended, document) {
		t.Error("it waits on after the end")
	}
}
