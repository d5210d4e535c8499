package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// shutdownTimeout is what requests in flight get to finish after Stop ended the watches.
const shutdownTimeout = 10 * time.Second

// Serve answers on listener with TLS, HTTP/2 and HTTP/1.1, until ctx ends. It has
// at most maxConnections at a time, of which unused ones make room for others.
// After ctx it accepts nothing more, ends the watches and lets other requests finish.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, certificate *tlsfiles.Certificate, maxConnections int, log *slog.Logger) error {
	server := program.NewServer(handler, certificate, log)
	server.ConnContext = withConnection
	server.DisableGeneralOptionsHandler = true // "OPTIONS *" is rejected like the rest
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: 250,
		// Callers send next to nothing.
		MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: 4 * maxBody, MaxReadFrameSize: 16 << 10,
		SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: handler.WriteTimeout,
	}
	limited := limitConnections(listener, maxConnections, unidentifiedTimeout, handler.Metrics)
	serve := func() error { return server.ServeTLS(limited, "", "") }
	if err := program.Serve(ctx, server, serve, handler.Stop, shutdownTimeout); err != nil {
		return fmt.Errorf("serve peers on %s: %w", listener.Addr(), err)
	}
	return nil
}
