package connlimit

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func newMetrics() Metrics {
	return Metrics{Open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "open"}), Closed: prometheus.NewCounter(prometheus.CounterOpts{Name: "closed"})}
}

// ask is a request of a peer.
func ask(ctx context.Context) (done func()) {
	done, _ = MarkInUse(ctx, "b")
	return done
}

func TestAConnectionIsKeptOnlyForPeers(t *testing.T) {
	const timeout = 20 * time.Millisecond
	for name, test := range map[string]struct {
		use  func(ctx context.Context)
		kept bool
	}{
		"there is no request":                           {func(context.Context) {}, false},
		"only unidentified callers ask":                 {func(ctx context.Context) { MarkUnidentified(ctx); MarkUnidentified(ctx) }, false},
		"a peer's request is in flight":                 {func(ctx context.Context) { ask(ctx) }, true},
		"a peer has asked":                              {func(ctx context.Context) { ask(ctx)() }, true},
		"both ask, and the peer's request goes on":      {func(ctx context.Context) { ask(ctx); MarkUnidentified(ctx) }, true},
		"a peer has lost its permission":                {func(ctx context.Context) { ask(ctx)(); MarkUnidentified(ctx) }, false},
		"an unidentified caller turns out to be a peer": {func(ctx context.Context) { MarkUnidentified(ctx); ask(ctx)() }, true},
		"one of two requests has come to an end":        {func(ctx context.Context) { ask(ctx); ask(ctx)(); MarkUnidentified(ctx) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var listen net.ListenConfig
			plain, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listener := Listen(plain, Limits{Total: 2, UnidentifiedTimeout: timeout}, newMetrics())
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
			test.use(WithConnection(t.Context(), accepted))

			wait := peerstest.Deadline
			if test.kept {
				wait = 10 * timeout
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
				t.Errorf("at the end: %d open, %d unidentified, %d idle", counted.open, counted.unidentified.Len(), counted.idle.Len())
			}
		})
	}
}

// expiring is the connection of an unidentified caller whose timeout has just
// expired, with the lock of its listener held: its timer has fired, and cannot act yet.
func expiring(t *testing.T) (*limitedListener, *countedConn, *recordedConn) {
	t.Helper()
	listener := &limitedListener{limits: Limits{Total: 2, UnidentifiedTimeout: time.Nanosecond}, metrics: newMetrics(), ofPeer: map[string]int{}}
	recorded := &recordedConn{closed: make(chan struct{})}
	listener.mu.Lock()
	listener.open++
	listener.metrics.Open.Inc()
	c := &countedConn{Conn: recorded, listener: listener}
	c.becomeUnidentified()
	peerstest.Await(t, func() string {
		if c.deadline.Stop() {
			c.becomeUnidentified()
			return "the timer has not fired"
		}
		return ""
	})
	listener.limits.UnidentifiedTimeout = time.Hour
	return listener, c, recorded
}

// recordedConn records whether it was closed.
type recordedConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *recordedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// isClosed waits as long as a timer that has fired needs to act.
func (c *recordedConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// TestAnObsoleteTimerClosesNothing: the timer fired when a peer asked, and then an
// unidentified caller again, whose own timeout has just begun.
func TestAnObsoleteTimerClosesNothing(t *testing.T) {
	listener, c, recorded := expiring(t)
	c.move(nil)
	c.becomeUnidentified()
	listener.mu.Unlock()
	if recorded.isClosed() {
		t.Error("the obsolete timer has closed it")
	}
	_ = c.Close()
}

// TestAPeersRequestIsCountedOrItsConnectionClosed: whichever comes first, the
// request or the timeout of the unidentified caller, decides alone.
func TestAPeersRequestIsCountedOrItsConnectionClosed(t *testing.T) {
	for range 10 { // the test does not control which one comes first
		listener, c, recorded := expiring(t)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			ask(context.WithValue(context.Background(), connectionKey{}, c))
		}()
		// Both wait for the lock. A waiter that sync.Mutex has woken in vain and that
		// has waited for a millisecond is not overtaken any more: the request then
		// comes right after the timer's first check.
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
		counted := len(c.byPeer)
		listener.mu.Unlock()
		if closed == (counted == 1) {
			t.Fatalf("closed: %v, with requests of %d peers", closed, counted)
		}
		_ = c.Close()
	}
}
