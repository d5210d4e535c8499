package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
)

// unidentifiedTimeout is how long a connection stays open on which no peer asks.
const unidentifiedTimeout = 15 * time.Second

// limitConnections keeps at most limit connections open. A new one beyond that
// replaces an unused one: first those of unidentified callers, then those on which a
// peer asks nothing, the oldest first. So nobody who opens connections, with a
// credential or without, keeps a peer out. Where requests of peers are in flight on
// all of them, the new one is closed at once: letting it wait would keep its owner
// out just as well, and look like a silent network.
func limitConnections(listener net.Listener, limit int, timeout time.Duration, metrics *telemetry.Metrics) net.Listener {
	return &limitedListener{Listener: listener, limit: limit, timeout: timeout, metrics: metrics}
}

type limitedListener struct {
	net.Listener
	limit int
	// timeout of connections of unidentified callers.
	timeout time.Duration
	metrics *telemetry.Metrics

	mu   sync.Mutex
	open int
	// unidentified and idle hold the *countedConn on which no peer's request is in flight.
	unidentified, idle list.List
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if accepted := l.admit(connection); accepted != nil {
			return accepted, nil
		}
		l.metrics.ConnectionsClosed.Inc()
		_ = connection.Close()
	}
}

// admit returns nil when there is no room for the connection.
func (l *limitedListener) admit(connection net.Conn) net.Conn {
	l.mu.Lock()
	var replaced *countedConn
	if l.open >= l.limit {
		if replaced = l.unused(); replaced == nil {
			l.mu.Unlock()
			return nil
		}
		replaced.leave()
	}
	l.open++
	admitted := &countedConn{Conn: connection, listener: l}
	admitted.becomeUnidentified()
	l.mu.Unlock()
	l.metrics.Connections.Inc()
	if replaced != nil {
		l.metrics.ConnectionsClosed.Inc()
		_ = replaced.Close()
	}
	return admitted
}

// unused is the connection to close first. The caller holds l.mu.
func (l *limitedListener) unused() *countedConn {
	for _, candidates := range []*list.List{&l.unidentified, &l.idle} {
		if first := candidates.Front(); first != nil {
			return first.Value.(*countedConn) //nolint:forcetypeassert // the lists hold nothing else
		}
	}
	return nil
}

// countedConn is a connection that counts. Its fields are guarded by listener.mu.
type countedConn struct {
	net.Conn
	listener *limitedListener

	// inFlight counts requests of peers.
	inFlight int
	// in is the list that contains the connection, at place; nil while a request of a peer is in flight.
	in    *list.List
	place *list.Element
	// deadline closes the connection of an unidentified caller.
	deadline *time.Timer
	left     bool
}

type connectionKey struct{}

// withConnection lets handlers mark a connection as used; it is http.Server's ConnContext.
func withConnection(ctx context.Context, connection net.Conn) context.Context {
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, connection)
}

// markInUse marks the connection of ctx as used by a peer's request until done is
// called.
func markInUse(ctx context.Context) (done func()) {
	c, ok := ctx.Value(connectionKey{}).(*countedConn)
	if !ok { // only in tests
		return func() {}
	}
	c.change(func() {
		c.inFlight++
		c.move(nil)
	})
	return func() {
		c.change(func() {
			if c.inFlight--; c.inFlight == 0 {
				c.move(&c.listener.idle)
			}
		})
	}
}

// markUnidentified marks the connection of ctx as used by an unidentified caller.
func markUnidentified(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*countedConn); ok {
		c.change(func() {
			// An ingress controller may have both on one connection.
			if c.inFlight == 0 && c.in != &c.listener.unidentified {
				c.becomeUnidentified()
			}
		})
	}
}

// change applies a change unless the connection has been closed.
func (c *countedConn) change(by func()) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if !c.left {
		by()
	}
}

// becomeUnidentified starts the timeout of unidentified callers. One lock covers
// both the check that the timeout still applies and the closing: neither is a
// connection closed that has become a peer's, nor does a request come in between.
// The caller holds listener.mu.
func (c *countedConn) becomeUnidentified() {
	c.move(&c.listener.unidentified)
	var deadline *time.Timer
	deadline = time.AfterFunc(c.listener.timeout, func() {
		c.listener.mu.Lock()
		expired := c.deadline == deadline
		if expired {
			c.leave()
		}
		c.listener.mu.Unlock()
		if expired {
			_ = c.Conn.Close()
		}
	})
	c.deadline = deadline
}

// move to the end of another list, or to none.
func (c *countedConn) move(to *list.List) {
	if c.in != nil {
		c.in.Remove(c.place)
	}
	if c.deadline != nil {
		c.deadline.Stop()
		c.deadline = nil
	}
	c.in, c.place = to, nil
	if to != nil {
		c.place = to.PushBack(c)
	}
}

// leave makes room for another connection.
func (c *countedConn) leave() {
	if !c.left {
		c.left = true
		c.move(nil)
		c.listener.open--
		c.listener.metrics.Connections.Dec()
	}
}

func (c *countedConn) Close() error {
	c.listener.mu.Lock()
	c.leave()
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
