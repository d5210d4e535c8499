package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/peers/peerstest"
)

// TestHowLongAConnectionIsKept looks at the two ends of one connection.
func TestHowLongAConnectionIsKept(t *testing.T) {
	const patience = 20 * time.Millisecond
	for name, test := range map[string]struct {
		use  func(ctx context.Context)
		kept bool
	}{
		"nobody asks":                            {func(context.Context) {}, false},
		"only strangers ask, again and again":    {func(ctx context.Context) { markUnidentified(ctx); markUnidentified(ctx) }, false},
		"a peer's request is under way":     {func(ctx context.Context) { markInUse(ctx) }, true},
		"a peer has asked":                  {func(ctx context.Context) { markInUse(ctx)() }, true},
		"both ask, and the peer goes on":    {func(ctx context.Context) { markInUse(ctx); markUnidentified(ctx) }, true},
		"a peer has lost its permission":    {func(ctx context.Context) { markInUse(ctx)(); markUnidentified(ctx) }, false},
		"a stranger turns out to be peer":   {func(ctx context.Context) { markUnidentified(ctx); markInUse(ctx)() }, true},
		"one of two requests has come to an end": {func(ctx context.Context) { markInUse(ctx); markInUse(ctx)(); markUnidentified(ctx) }, true},
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

			wait := peerstest.Deadline
			if test.kept {
				wait = 10 * patience
			}
			_ = caller.SetReadDeadline(time.Now().Add(wait))
			_, err = caller.Read(make([]byte, 1))
			if kept := errors.Is(err, os.ErrDeadlineExceeded); kept != test.kept || !kept && !errors.Is(err, io.EOF) {
				t.Errorf("kept: %v (%v), want %v", kept, err, test.kept)
			}
			_ = accepted.Close()
			counted := listener.(*limitedListener)
			counted.mu.Lock()
			defer counted.mu.Unlock()
			if counted.open != 0 || counted.unidentified.Len()+counted.idle.Len() != 0 {
				t.Errorf("after all: %d open, %d strangers, %d idle", counted.open, counted.unidentified.Len(), counted.idle.Len())
			}
		})
	}
}

// expiring is a stranger's connection whose time is just over, with the lock of
// its listener held: its timer has gone off, and can do nothing yet.
func expiring(t *testing.T) (*limitedListener, *countedConn, *recordedConn) {
	t.Helper()
	listener := &limitedListener{limit: 2, patience: time.Nanosecond, metrics: telemetry.NewMetrics(time.Now)}
	recorded := &recordedConn{closed: make(chan struct{})}
	listener.mu.Lock()
	listener.open++
	listener.metrics.Connections.Inc()
	c := &countedConn{Conn: recorded, listener: listener}
	c.becomeUnidentified()
	peerstest.Await(t, func() string {
		if c.deadline.Stop() {
			c.becomeUnidentified()
			return "the timer has not gone off"
		}
		return ""
	})
	listener.patience = time.Hour
	return listener, c, recorded
}

// recordedConn tells whether it was closed.
type recordedConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *recordedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// isClosed waits no longer than a timer that has gone off needs to do its work.
func (c *recordedConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// TestATimerOfThePastEndsNothing: its time was over when a peer asked, and
// then again a stranger, whose own time has just begun.
func TestATimerOfThePastEndsNothing(t *testing.T) {
	listener, c, recorded := expiring(t)
	c.move(nil)
	c.becomeUnidentified()
	listener.mu.Unlock()
	if recorded.isClosed() {
		t.Error("the timer of before has closed it")
	}
	_ = c.Close()
}

// TestAPeersRequestIsCountedOrItsConnectionGone: whichever comes first, the
// request or the end of the stranger's time, decides alone.
func TestAPeersRequestIsCountedOrItsConnectionGone(t *testing.T) {
	for range 10 { // which one comes first is not for the test to say
		listener, c, recorded := expiring(t)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			markInUse(context.WithValue(context.Background(), connectionKey{}, c))
		}()
		// Both wait for the lock. Whom sync.Mutex has woken in vain and kept for a
		// millisecond is not overtaken any more: the request then comes right
		// after the timer's first look.
		for range 2 {
			<-time.After(5 * time.Millisecond)
			listener.mu.Unlock()
			listener.mu.Lock()
		}
		<-time.After(5 * time.Millisecond)
		listener.mu.Unlock()
		<-asked
		closed := recorded.isClosed()
		listener.mu.Lock()
		counted := c.inFlight
		listener.mu.Unlock()
		if closed == (counted == 1) {
			t.Fatalf("closed: %v, with %d requests of peers", closed, counted)
		}
		_ = c.Close()
	}
}
