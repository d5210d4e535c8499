package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/connlimit"
	"github.com/deckhouse-mesh/istio/lib/inflight"
	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// shutdownTimeout is what requests in flight get to finish after Stop ended the watches.
const shutdownTimeout = 10 * time.Second

// One peer may use a fifth of all connections at a time, and as many as an istiod with HTTP/1.1 needs; all peers
// together may use four fifths: the others are for connections whose caller has not proved anything yet.
const (
	shareOfPeer      = 5
	leastShareOfPeer = 20
)

// unidentifiedTimeout is how long a connection stays open on which no peer asks.
const unidentifiedTimeout = 15 * time.Second

// Serve answers on listener with TLS, HTTP/2 and HTTP/1.1, until ctx ends. It has
// at most maxConnections at a time, of which unused ones make room for others, and
// requests of one peer are on a fifth of them: some hostile peers keep no other one out.
// After ctx it accepts nothing more, ends the watches and lets other requests finish.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, certificate *tlsfiles.Certificate, maxConnections int, log *slog.Logger) error {
	server := program.NewServer(handler, certificate, log)
	server.ConnContext = connlimit.WithConnection
	server.DisableGeneralOptionsHandler = true // "OPTIONS *" is rejected like the rest
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: 250,
		// Callers send next to nothing.
		MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: 4 * maxBody, MaxReadFrameSize: 16 << 10,
		SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: handler.WriteTimeout,
	}
	limited := connlimit.Listen(listener, connlimit.Limits{
		Total: maxConnections,
		OfPeers: inflight.Shares{
			Total: maxConnections - maxConnections/shareOfPeer, OfOne: max(maxConnections/shareOfPeer, leastShareOfPeer), Callers: handler.Peers,
		},
		UnidentifiedTimeout: unidentifiedTimeout,
	}, connlimit.Metrics{Open: handler.Metrics.Connections, Closed: handler.Metrics.ConnectionsClosed})
	serve := func() error { return server.ServeTLS(limited, "", "") }
	if err := program.Serve(ctx, server, serve, handler.Stop, shutdownTimeout); err != nil {
		return fmt.Errorf("serve peers on %s: %w", listener.Addr(), err)
	}
	return nil
}
