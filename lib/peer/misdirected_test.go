package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type connectionKey struct{}

// switchingPeer is a peer behind an ingress controller: what a connection leads
// to is decided when it is made.
type switchingPeer struct {
	Target
	// dialed counts the connections.
	dialed atomic.Int64
	// switchedAfter is the last connection of the mode before; it and those before it lead nowhere.
	switchedAfter atomic.Int64
	// stale is their answer.
	stale int
	// entered gets a value for each request that is held until release is closed.
	entered, release chan struct{}
}

func newSwitchingPeer(t *testing.T, stale int, http2 bool) *switchingPeer {
	t.Helper()
	peer := &switchingPeer{stale: stale, entered: make(chan struct{}, 1), release: make(chan struct{})}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "" {
			peer.entered <- struct{}{}
			<-peer.release
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if number, _ := r.Context().Value(connectionKey{}).(int64); number <= peer.switchedAfter.Load() {
			w.WriteHeader(peer.stale)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	server.EnableHTTP2 = http2
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, peer.dialed.Add(1))
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	peer.Target = Target{URL: server.URL + "/metadata/", InsecureSkipVerify: true}
	return peer
}

// switchMode makes all connections there are lead nowhere.
func (p *switchingPeer) switchMode() { p.switchedAfter.Store(p.dialed.Load()) }

func (p *switchingPeer) fetch(client *Client) error {
	_, err := client.Get(context.Background(), p.Target, Request{Path: "public/public.json"})
	return err
}

func TestAConnectionToTheWrongServerIsReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		http2  bool
	}{
		"404 over HTTP/2":   {http.StatusNotFound, true},
		"421 over HTTP/2":   {http.StatusMisdirectedRequest, true},
		"404 over HTTP/1.1": {http.StatusNotFound, false},
		"421 over HTTP/1.1": {http.StatusMisdirectedRequest, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, peer, other := NewClient(), newSwitchingPeer(t, test.status, test.http2), newSwitchingPeer(t, test.status, test.http2)
			for switched := range int64(3) {
				for range 3 {
					if err := errors.Join(peer.fetch(client), other.fetch(client)); err != nil {
						t.Fatalf("after %d switches: %v", switched, err)
					}
				}
				if dialed := peer.dialed.Load(); dialed != switched+1 {
					t.Errorf("after %d switches the peer has seen %d connections, want one more than switches", switched, dialed)
				}
				peer.switchMode()
			}
			if dialed := other.dialed.Load(); dialed != 1 {
				t.Errorf("another peer has seen %d connections, want its own one kept", dialed)
			}
			if pools := len(client.transports); pools > 2 {
				t.Errorf("%d pools are kept, want the shared one and the latest", pools)
			}
		})
	}
}

func TestAnAnswerOverANewConnectionIsFinal(t *testing.T) {
	peer := newSwitchingPeer(t, http.StatusNotFound, true)
	peer.switchedAfter.Store(1 << 40)
	client := NewClient()
	for attempt, want := range []int64{1, 2, 3} {
		var failed *Error
		if err := peer.fetch(client); !errors.As(err, &failed) || failed.Reason != NotFound {
			t.Fatalf("got %v, want reason %s", err, NotFound)
		}
		if dialed := peer.dialed.Load(); dialed != want {
			t.Errorf("%d connections after attempt %d, want %d: one at most for an attempt", dialed, attempt+1, want)
		}
	}
}

func TestOtherAnswersLeaveTheConnectionAlone(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable, 525} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			client, peer := NewClient(), newSwitchingPeer(t, status, true)
			if err := peer.fetch(client); err != nil {
				t.Fatal(err)
			}
			peer.switchMode()
			var failed *Error
			if err := peer.fetch(client); !errors.As(err, &failed) || failed.StatusCode != status {
				t.Fatalf("got %v, want status %d", err, status)
			}
			if dialed := peer.dialed.Load(); dialed != 1 {
				t.Errorf("%d connections, want the one", dialed)
			}
		})
	}
}

func TestAHeldRequestRetainsItsConnection(t *testing.T) {
	client, peer := NewClient(), newSwitchingPeer(t, http.StatusNotFound, true)
	if err := peer.fetch(client); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go func() {
		_, err := client.Get(context.Background(), peer.Target, Request{Path: "x", IfNoneMatch: `"1"`, Wait: time.Minute})
		held <- err
	}()
	release := sync.OnceFunc(func() { close(peer.release) })
	t.Cleanup(release)
	<-peer.entered
	// Twice: the second renewal lets go of a pool that only this host used.
	for range 2 {
		peer.switchMode()
		if err := peer.fetch(client); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := <-held; err != nil {
		t.Errorf("the held request failed: %v", err)
	}
}

func TestRenewalsAreForgotten(t *testing.T) {
	now := time.Now()
	kept := renewals{hosts: map[string]renewal{}}
	kept.add("a", now)
	kept.add("b", now.Add(transportIdleFor+time.Second))
	if len(kept.hosts) != 1 || kept.hosts["b"].number != 2 {
		t.Errorf("%v is kept, want b only", kept.hosts)
	}
}
