package server_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// ended waits until the proxy has closed a connection; it is false when it does not.
func ended(t *testing.T, connection net.Conn) bool {
	t.Helper()
	_ = connection.SetReadDeadline(time.Now().Add(peerstest.Deadline))
	_, err := io.Copy(io.Discard, connection)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestConnectionsOfUnknownCallersKeepNoPeerOut(t *testing.T) {
	p := start(t, setup{maxConnections: 3})
	strangers := []*tls.Conn{p.dial(t, "http/1.1"), p.dial(t, "h2"), p.dial(t, "http/1.1")}
	client := p.client(t, true)
	if response, body := do(t, client, p.request(t, http.MethodGet, "/api/v1/pods", "")); response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	if !ended(t, strangers[0]) {
		t.Error("the oldest connection of an unknown caller was kept")
	}
	p.dial(t, "http/1.1") // and replaces another unknown caller's, not the peer's
	if !ended(t, strangers[1]) {
		t.Error("the next connection of an unknown caller was kept")
	}
	if got := p.backend.take(); len(got) != 1 {
		t.Errorf("%d requests arrived", len(got))
	}
}

func TestIdleConnectionsMakeRoomAndBusyOnesDoNot(t *testing.T) {
	source := newEvents()
	p := start(t, setup{maxConnections: 2, answer: source.answer})
	busy, idle := p.client(t, true), p.client(t, true)
	lines := watch(t, busy, p.request(t, http.MethodGet, podWatch, ""))
	source.waitOpen(t, 1)
	for range 3 { // each client has a connection of its own, which has answered and is idle
		if response, body := do(t, idle, p.request(t, http.MethodGet, "/api/v1/pods", "")); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		idle = p.client(t, true)
	}
	second := watch(t, idle, p.request(t, http.MethodGet, podWatch, ""))
	source.waitOpen(t, 2)
	dialer := tls.Dialer{Config: p.tlsConfig("http/1.1")}
	if third, err := dialer.DialContext(t.Context(), "tcp", p.address); err == nil {
		_ = third.Close()
		t.Error("a connection was accepted although each connection is in use")
	}
	for range 2 {
		source.send <- "still here"
	}
	for _, each := range []<-chan string{lines, second} {
		if line, more := next(t, each); line != "still here" || !more {
			t.Errorf("a watch ended, or said %q", line)
		}
	}
}

// TestAnUnknownCallerMayRetryOnItsConnection: only the request is rejected.
func TestAnUnknownCallerMayRetryOnItsConnection(t *testing.T) {
	p := start(t, setup{})
	client := p.client(t, true)
	r := p.request(t, http.MethodGet, "/api/v1/pods", "")
	r.Header.Del("Authorization")
	if response, body := do(t, client, r); response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	if response, body := do(t, client, p.request(t, http.MethodGet, "/api/v1/pods", "")); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}
