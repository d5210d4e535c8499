package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
)

// TestHowLongAConnectionIsKept looks at the two ends of one connection.
func TestHowLongAConnectionIsKept(t *testing.T) {
	const patience = 20 * time.Millisecond
	for name, test := range map[string]struct {
		use  func(ctx context.Context)
		kept bool
	}{
		"nobody asks":                            {func(context.Context) {}, false},
		"only strangers ask, again and again":    {func(ctx context.Context) { strangerAsks(ctx); strangerAsks(ctx) }, false},
		"a neighbour's request is under way":     {func(ctx context.Context) { neighbourAsks(ctx) }, true},
		"a neighbour has asked":                  {func(ctx context.Context) { neighbourAsks(ctx)() }, true},
		"both ask, and the neighbour goes on":    {func(ctx context.Context) { neighbourAsks(ctx); strangerAsks(ctx) }, true},
		"a neighbour has lost its permission":    {func(ctx context.Context) { neighbourAsks(ctx)(); strangerAsks(ctx) }, false},
		"a stranger turns out to be neighbour":   {func(ctx context.Context) { strangerAsks(ctx); neighbourAsks(ctx)() }, true},
		"one of two requests has come to an end": {func(ctx context.Context) { neighbourAsks(ctx); neighbourAsks(ctx)(); strangerAsks(ctx) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var listen net.ListenConfig
			plain, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listener := limitConnections(plain, 2, patience, telemetry.NewMetrics(time.Now))
			defer func() { _ = listener.Close() }()
			var dialer net.Dialer
			caller, err := dialer.DialContext(t.Context(), "tcp", plain.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = caller.Close() }()
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			test.use(withConnection(t.Context(), accepted))

			wait := fixture.Deadline
			if test.kept {
				wait = 10 * patience
			}
			_ = caller.SetReadDeadline(time.Now().Add(wait))
			_, err = caller.Read(make([]byte, 1))
			if kept := errors.Is(err, os.ErrDeadlineExceeded); kept != test.kept || !kept && !errors.Is(err, io.EOF) {
				t.Errorf("kept: %v (%v), want %v", kept, err, test.kept)
			}
			_ = accepted.Close()
			counted := listener.(*limitedListener) //nolint:forcetypeassert // it is
			counted.mu.Lock()
			defer counted.mu.Unlock()
			if counted.open != 0 || counted.strangers.Len()+counted.idle.Len() != 0 {
				t.Errorf("after all: %d open, %d strangers, %d idle", counted.open, counted.strangers.Len(), counted.idle.Len())
			}
		})
	}
}
