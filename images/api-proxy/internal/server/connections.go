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

// strangerTimeout is how long a connection is kept on which no neighbour asks.
const strangerTimeout = 15 * time.Second

// limitConnections keeps at most limit connections. Beyond that a new one takes
// the place of one that serves nobody: first of strangers, then of neighbours
// that ask nothing, the oldest first. So whoever opens connections, without a
// credential or with one, keeps no neighbour out. Where a neighbour's requests
// are under way on each, the new one is closed at once: to let it wait would
// keep its owner out just as well, and look like a silent network.
func limitConnections(listener net.Listener, limit int, patience time.Duration, metrics *telemetry.Metrics) net.Listener {
	return &limitedListener{Listener: listener, limit: limit, patience: patience, metrics: metrics}
}

type limitedListener struct {
	net.Listener
	limit int
	// patience with strangers.
	patience time.Duration
	metrics  *telemetry.Metrics

	mu   sync.Mutex
	open int
	// strangers and idle hold those *countedConn on which no neighbour's request is under way.
	strangers, idle list.List
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
		l.metrics.ConnectionsRefused.Inc()
		_ = connection.Close()
	}
}

// admit returns nil when there is no place for the connection.
func (l *limitedListener) admit(connection net.Conn) net.Conn {
	l.mu.Lock()
	var useless *countedConn
	if l.open >= l.limit {
		if useless = l.useless(); useless == nil {
			l.mu.Unlock()
			return nil
		}
		useless.gone()
	}
	l.open++
	admitted := &countedConn{Conn: connection, listener: l}
	admitted.becomeStranger()
	l.mu.Unlock()
	l.metrics.Connections.Inc()
	if useless != nil {
		l.metrics.ConnectionsRefused.Inc()
		_ = useless.Close()
	}
	return admitted
}

// useless is the connection to give up first. The caller holds l.mu.
func (l *limitedListener) useless() *countedConn {
	for _, candidates := range []*list.List{&l.strangers, &l.idle} {
		if first := candidates.Front(); first != nil {
			return first.Value.(*countedConn) //nolint:forcetypeassert // the lists hold nothing else
		}
	}
	return nil
}

// countedConn is a connection that has one of the places. Its fields are guarded by listener.mu.
type countedConn struct {
	net.Conn
	listener *limitedListener

	// underWay counts neighbours' requests.
	underWay int
	// in is the list that it is in, at place; nil while a neighbour's request is under way.
	in    *list.List
	place *list.Element
	// deadline ends it as a stranger.
	deadline *time.Timer
	left     bool
}

type connectionKey struct{}

// withConnection lets handlers tell what a connection is used for; it is http.Server's ConnContext.
func withConnection(ctx context.Context, connection net.Conn) context.Context {
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, connection)
}

// neighbourAsks tells that a neighbour's request has come on the connection of
// ctx, until done is called.
func neighbourAsks(ctx context.Context) (done func()) {
	c, ok := ctx.Value(connectionKey{}).(*countedConn)
	if !ok { // it is not one of ours: only in tests
		return func() {}
	}
	c.change(func() {
		c.underWay++
		c.move(nil)
	})
	return func() {
		c.change(func() {
			if c.underWay--; c.underWay == 0 {
				c.move(&c.listener.idle)
			}
		})
	}
}

// strangerAsks tells that a request has come which is nobody's.
func strangerAsks(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*countedConn); ok {
		c.change(func() {
			// An ingress controller may have both on one connection.
			if c.underWay == 0 && c.in != &c.listener.strangers {
				c.becomeStranger()
			}
		})
	}
}

// change makes a change unless the connection has been closed.
func (c *countedConn) change(by func()) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if !c.left {
		by()
	}
}

// becomeStranger gives the connection a stranger's time. That it is over, and
// still this connection's, is found out and acted on under one lock: neither
// does it end what has moved on, nor does a request come in between. The caller
// holds listener.mu.
func (c *countedConn) becomeStranger() {
	c.move(&c.listener.strangers)
	var deadline *time.Timer
	deadline = time.AfterFunc(c.listener.patience, func() {
		c.listener.mu.Lock()
		over := c.deadline == deadline
		if over {
			c.gone()
		}
		c.listener.mu.Unlock()
		if over {
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

// gone gives its place to others.
func (c *countedConn) gone() {
	if !c.left {
		c.left = true
		c.move(nil)
		c.listener.open--
		c.listener.metrics.Connections.Dec()
	}
}

func (c *countedConn) Close() error {
	c.listener.mu.Lock()
	c.gone()
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
