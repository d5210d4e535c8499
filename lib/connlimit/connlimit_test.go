package connlimit

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/inflight"
)

// from is a connection that comes from an address.
type from struct {
	recordedConn
	address string
}

func (f *from) RemoteAddr() net.Addr {
	host, err := net.ResolveTCPAddr("tcp", f.address+":1234")
	if err != nil {
		panic(err)
	}
	return host
}

// opened lets count connections of an address in, and returns their contexts; nil for one that was closed at once.
func opened(listener *limitedListener, address string, count int) []context.Context {
	made := make([]context.Context, 0, count)
	for range count {
		connection := &from{recordedConn{closed: make(chan struct{})}, address}
		if admitted := listener.admit(connection); admitted != nil {
			made = append(made, WithConnection(context.Background(), admitted))
		} else {
			made = append(made, nil)
		}
	}
	return made
}

func open(ctx context.Context) bool {
	c, ok := ctx.Value(connectionKey{}).(*countedConn)
	return ok && !c.left
}

// use marks the connection as used by a request of peer; ok is false where that exceeds a limit.
func use(ctx context.Context, peer string) (done func(), ok bool) {
	done, reached := MarkInUse(ctx, peer)
	return done, reached == inflight.None
}

func newListener(t *testing.T, limits Limits) *limitedListener {
	t.Helper()
	listener, ok := Listen(nil, limits, newMetrics()).(*limitedListener)
	if !ok {
		t.Fatal("another listener")
	}
	return listener
}

func TestThreeHostilePeersLeaveRoomForAFourth(t *testing.T) {
	listener := newListener(t, Limits{Total: 1000, OfPeers: inflight.Shares{OfOne: 200}})
	for hostile := range 3 {
		accepted := 0
		for _, ctx := range opened(listener, "192.0.2.1", 400) {
			if ctx == nil {
				continue
			}
			if _, ok := use(ctx, fmt.Sprint("hostile-", hostile)); ok {
				accepted++
			}
		}
		if accepted != 200 {
			t.Errorf("a hostile peer has requests on %d connections", accepted)
		}
	}
	honest := opened(listener, "192.0.2.2", 1)[0]
	if honest == nil {
		t.Fatal("an honest peer is kept out")
	}
	if _, ok := use(honest, "honest"); !ok {
		t.Error("an honest peer's request is rejected")
	}
}

// TestHoweverManyPeersAreHostileAnHonestOneHasConnections: ten of them use all that they can.
func TestHoweverManyPeersAreHostileAnHonestOneHasConnections(t *testing.T) {
	listener := newListener(t, Limits{Total: 1000, OfPeers: inflight.Shares{Total: 800, OfOne: 200, Callers: func() int { return 11 }}})
	inUse := 0
	for hostile := range 10 {
		for _, ctx := range opened(listener, "192.0.2.1", 400) {
			if ctx == nil || !open(ctx) { // closed, to make room
				continue
			}
			if _, ok := use(ctx, fmt.Sprint("hostile-", hostile)); ok {
				inUse++
			}
		}
	}
	if inUse < 700 || inUse > 800 {
		t.Errorf("hostile peers have requests on %d connections", inUse)
	}
	for index, ctx := range opened(listener, "192.0.2.2", 20) {
		if ctx == nil {
			t.Fatalf("connection %d of an honest peer is closed at once", index)
		}
		if _, ok := use(ctx, "honest"); !ok {
			t.Fatalf("the request on connection %d of an honest peer is rejected", index)
		}
	}
}

func TestAPlaceInThePeersShareEndsWithItsRequestsOrItsConnection(t *testing.T) {
	listener := newListener(t, Limits{Total: 10, OfPeers: inflight.Shares{OfOne: 1}})
	connections := opened(listener, "192.0.2.1", 3)
	first, _ := use(connections[0], "b")
	second, ok := use(connections[0], "b")
	if !ok {
		t.Fatal("a second request on the same connection is rejected")
	}
	if _, ok := use(connections[1], "b"); ok {
		t.Fatal("a second connection of the peer is used")
	}
	if _, ok := use(connections[1], "c"); !ok {
		t.Error("another peer's request is rejected")
	}
	first()
	if _, ok := use(connections[2], "b"); ok {
		t.Error("a second connection is used while a request on the first one goes on")
	}
	second()
	done, ok := use(connections[2], "b")
	if !ok {
		t.Fatal("the share was not given back with the request")
	}
	c, _ := connections[2].Value(connectionKey{}).(*countedConn)
	_ = c.Close()
	done()
	if _, ok := use(connections[0], "b"); !ok || listener.ofPeer["b"] != 1 {
		t.Errorf("the share was not given back with the connection: %v", listener.ofPeer)
	}
}

func TestAnAddressThatProvesNothingHasAShare(t *testing.T) {
	listener := newListener(t, Limits{Total: 1000, UnidentifiedOfAddress: 100})
	other := opened(listener, "192.0.2.2", 1)[0]
	// As behind an Ingress controller: peers and strangers come from one address.
	peer := opened(listener, "192.0.2.1", 1)[0]
	if done, ok := use(peer, "b"); !ok {
		t.Fatal("a peer's request is rejected")
	} else {
		done()
	}
	strangers := opened(listener, "192.0.2.1", 100)
	MarkUnidentified(strangers[0]) // was used last
	for _, ctx := range opened(listener, "192.0.2.1", 3000) {
		if ctx == nil {
			t.Fatal("a new connection is closed: it may be a peer's")
		}
	}
	if listener.unidentified.Len() != 101 || listener.open != 102 {
		t.Errorf("%d unidentified, %d open", listener.unidentified.Len(), listener.open)
	}
	if !open(peer) || !open(other) || open(strangers[1]) {
		t.Errorf("open: the peer's %v, another address's %v, the oldest stranger's %v", open(peer), open(other), open(strangers[1]))
	}
}
