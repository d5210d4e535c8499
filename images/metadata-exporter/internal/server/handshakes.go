package server

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// handshakeTimeout bounds a caller's TLS handshake.
const handshakeTimeout = 5 * time.Second

// handshakes is a listener that returns connections after their TLS handshake.
// http.Server would do the handshake in the goroutine that serves the connection;
// it doubles the stack to 16 KiB, which stay for as long as a peer waits.
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

// Accept implements net.Listener. It returns connections whose handshake failed,
// too: http.Server gets the same error from them, and reports it.
func (h *handshakes) Accept() (net.Conn, error) {
	h.begin.Do(func() { go h.accept() })
	select {
	case next := <-h.accepted:
		return next.connection, next.err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Handshakes in progress end with their connections.
func (h *handshakes) Close() error {
	h.finish.Do(func() { close(h.closed) })
	return h.Listener.Close()
}

// accept never waits for a handshake. After an error it waits until Accept has
// returned it: http.Server pauses then.
func (h *handshakes) accept() {
	for {
		connection, err := h.Listener.Accept()
		if err == nil {
			go h.shake(tls.Server(connection, h.config))
			continue
		}
		if !h.deliver(accepted{err: err}) {
			return
		}
	}
}

func (h *handshakes) shake(connection *tls.Conn) {
	if connection.SetDeadline(time.Now().Add(handshakeTimeout)) == nil && connection.Handshake() == nil {
		_ = connection.SetDeadline(time.Time{})
	}
	if !h.deliver(accepted{connection: connection}) {
		_ = connection.Close()
	}
}

// deliver is false after Close.
func (h *handshakes) deliver(next accepted) bool {
	select {
	case h.accepted <- next:
		return true
	case <-h.closed:
		return false
	}
}
