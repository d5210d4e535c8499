// Package connlimit limits the connections of a program that answers peers: in all,
// of one address that proves nothing, and of one peer.
package connlimit

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deckhouse-mesh/istio/lib/inflight"
)

// Limits of connections; 0 is none.
type Limits struct {
	// Total of open connections. A new one beyond that replaces an unused one: first those of
	// unidentified callers, then those on which a peer asks nothing, the oldest first. So nobody who
	// opens connections, with a credential or without, keeps a peer out. Where requests of peers are
	// in flight on all of them, the new one is closed at once: letting it wait would keep its owner
	// out just as well, and look like a silent network.
	Total int
	// UnidentifiedOfAddress is how many connections of one address may be open on which no peer
	// asks or has asked. A new one beyond that replaces the one that was used longest ago.
	UnidentifiedOfAddress int
	// OfPeers are the connections on which peers can have requests in flight; without OfOne, all of them.
	OfPeers inflight.Shares
	// UnidentifiedTimeout is how long a connection stays open on which no peer asks.
	UnidentifiedTimeout time.Duration
}

// Metrics of connections.
type Metrics struct {
	// Open connections, and Closed ones that were closed because of a limit.
	Open   prometheus.Gauge
	Closed prometheus.Counter
}

// Listen applies limits to the connections of listener.
func Listen(listener net.Listener, limits Limits, metrics Metrics) net.Listener {
	return &limitedListener{Listener: listener, limits: limits, metrics: metrics, ofPeer: map[string]int{}}
}

type limitedListener struct {
	net.Listener
	limits  Limits
	metrics Metrics

	mu   sync.Mutex
	open int
	// unidentified and idle hold the *countedConn on which no peer's request is in flight.
	unidentified, idle list.List
	// ofPeer counts the connections on which requests of a peer are in flight.
	ofPeer map[string]int
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
		l.metrics.Closed.Inc()
		_ = connection.Close()
	}
}

// admit returns nil when there is no room for the connection.
func (l *limitedListener) admit(connection net.Conn) net.Conn {
	admitted := &countedConn{Conn: connection, listener: l, address: Host(connection.RemoteAddr().String())}
	l.mu.Lock()
	replaced := l.surplusOf(admitted.address)
	if replaced != nil {
		replaced.leave()
	} else if l.limits.Total > 0 && l.open >= l.limits.Total {
		if replaced = l.unused(); replaced == nil {
			l.mu.Unlock()
			return nil
		}
		replaced.leave()
	}
	l.open++
	admitted.becomeUnidentified()
	l.mu.Unlock()
	l.metrics.Open.Inc()
	if replaced != nil {
		l.metrics.Closed.Inc()
		_ = replaced.Close()
	}
	return admitted
}

// Host is an address without its port, which differs from connection to connection.
func Host(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// surplusOf is the connection of that address to close before it gets another one;
// nil while it may have one more. The caller holds l.mu.
func (l *limitedListener) surplusOf(address string) (oldest *countedConn) {
	if l.limits.UnidentifiedOfAddress == 0 {
		return nil
	}
	count := 0
	for element := l.unidentified.Front(); element != nil; element = element.Next() {
		each := element.Value.(*countedConn) //nolint:forcetypeassert // the list holds nothing else
		if each.address != address {
			continue
		}
		if count++; oldest == nil {
			oldest = each
		}
	}
	if count < l.limits.UnidentifiedOfAddress {
		return nil
	}
	return oldest
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
	address  string

	// byPeer counts the requests in flight of each peer that has any.
	byPeer map[string]int
	// in is the list that contains the connection, at place; nil while a request of a peer is in flight.
	in    *list.List
	place *list.Element
	// deadline closes the connection of an unidentified caller.
	deadline *time.Timer
	left     bool
}

type connectionKey struct{}

// WithConnection lets handlers mark a connection as used; it is http.Server's ConnContext.
func WithConnection(ctx context.Context, connection net.Conn) context.Context {
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, connection)
}

// MarkInUse marks the connection of ctx as used by a request of peer until done is
// called, unless the peer has requests on as many others as it may.
func MarkInUse(ctx context.Context, peer string) (done func(), reached inflight.Bound) {
	c, counted := ctx.Value(connectionKey{}).(*countedConn)
	if !counted { // only in tests
		return func() {}, inflight.None
	}
	c.change(func() { reached = c.begin(peer) })
	return func() { c.change(func() { c.end(peer) }) }, reached
}

// begin a request of peer. The caller holds listener.mu.
func (c *countedConn) begin(peer string) (reached inflight.Bound) {
	if c.byPeer[peer] == 0 {
		if shares := c.listener.limits.OfPeers; shares.OfOne > 0 {
			if reached = shares.Reached(peer, c.listener.ofPeer); reached != inflight.None {
				return reached
			}
		}
		c.listener.ofPeer[peer]++
	}
	if c.byPeer == nil {
		c.byPeer = map[string]int{}
	}
	c.byPeer[peer]++
	c.move(nil)
	return inflight.None
}

// end a request of peer. The caller holds listener.mu.
func (c *countedConn) end(peer string) {
	if c.byPeer[peer]--; c.byPeer[peer] == 0 {
		c.release(peer)
	}
	if len(c.byPeer) == 0 {
		c.move(&c.listener.idle)
	}
}

// release the place of a connection in the peer's share. The caller holds listener.mu.
func (c *countedConn) release(peer string) {
	delete(c.byPeer, peer)
	if c.listener.ofPeer[peer]--; c.listener.ofPeer[peer] == 0 {
		delete(c.listener.ofPeer, peer)
	}
}

// MarkUnidentified marks the connection of ctx as used by an unidentified caller.
func MarkUnidentified(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*countedConn); ok {
		c.change(func() {
			// An ingress controller may have both on one connection.
			switch {
			case len(c.byPeer) > 0:
			case c.in != &c.listener.unidentified:
				c.becomeUnidentified()
			default: // of those that no peer uses it is the latest, its timeout goes on
				c.in.MoveToBack(c.place)
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
	if c.listener.limits.UnidentifiedTimeout == 0 {
		return
	}
	var deadline *time.Timer
	deadline = time.AfterFunc(c.listener.limits.UnidentifiedTimeout, func() {
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
		for peer := range c.byPeer {
			c.release(peer)
		}
		c.listener.open--
		c.listener.metrics.Open.Dec()
	}
}

func (c *countedConn) Close() error {
	c.listener.mu.Lock()
	c.leave()
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
