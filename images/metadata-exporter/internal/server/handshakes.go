package server

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// handshakeTimeout is what a caller gets for its TLS handshake.
const handshakeTimeout = 5 * time.Second

// handshakes is a listener of connections whose TLS handshake is over.
// http.Server would do it in the goroutine that serves the connection ever after;
// a handshake doubles its stack to 16 KiB, which stay for as long as a peer waits.
type handshakes struct {
	net.Listener
	config *tls.Config

	begin    sync.Once
	accepted chan accepted
	finish   sync.Once
	closed   chan struct{}
}

// accepted is what Accept returns next.
type accepted struct {
	connection net.Conn
	err        error
}

func newHandshakes(listener net.Listener, config *tls.Config) *handshakes {
	return &handshakes{Listener: listener, config: config, accepted: make(chan accepted), closed: make(chan struct{})}
}

// Accept implements net.Listener. The connections of failed handshakes are
// returned, too: http.Server gets the same error from them, and reports it.
func (h *handshakes) Accept() (net.Conn, error) {
	h.begin.Do(func() { go h.accept() })
	select {
	case next := <-h.accepted:
		return next.connection, next.err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Handshakes under way end with their connections.
func (h *handshakes) Close() error {
	h.finish.Do(func() { close(h.closed) })
	return h.Listener.Close()
}

// accept never waits for a handshake. After an error it waits until that was
// asked for: http.Server pauses then.
func (h *handshakes) accept() {
	for {
		connection, err := h.Listener.Accept()
		if err == nil {
			go h.shake(tls.Server(connection, h.config))
			continue
		}
		if !h.hand(accepted{err: err}) {
			return
		}
	}
}

func (h *handshakes) shake(connection *tls.Conn) {
	if connection.SetDeadline(time.Now().Add(handshakeTimeout)) == nil && connection.Handshake() == nil {
		_ = connection.SetDeadline(time.Time{})
	}
	if !h.hand(accepted{connection: connection}) {
		_ = connection.Close()
	}
}

// hand is false when nobody accepts any more.
func (h *handshakes) hand(next accepted) bool {
	select {
	case h.accepted <- next:
		return true
	case <-h.closed:
		return false
	}
}
