package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/connlimit"
	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// shutdownTimeout is what requests in flight get to finish after Stop answered the held ones.
const shutdownTimeout = 3 * time.Second

// Limits of connections. An Ingress controller has one address for all callers, so those of peers do not count there, and
// one beyond the limit replaces the one that was used longest ago. maxHeldPublicOfOne fits into it.
const (
	maxConnections              = 1000
	maxUnidentifiedOfOneAddress = 100
)

// Serve answers on listener with TLS (HTTP/2 and HTTP/1.1) until ctx ends,
// then lets requests in flight finish.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, certificate *tlsfiles.Certificate, log *slog.Logger) error {
	server := program.NewServer(handler, certificate, log)
	server.HTTP2 = &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second}
	server.TLSConfig.NextProtos = []string{"h2", "http/1.1"} // ServeTLS would set them
	handshakes := server.TLSConfig.Clone()
	server.ConnContext = connlimit.WithConnection
	limited := connlimit.Listen(listener, connlimit.Limits{Total: maxConnections, UnidentifiedOfAddress: maxUnidentifiedOfOneAddress},
		connlimit.Metrics{Open: handler.Metrics.Connections, Closed: handler.Metrics.ConnectionsClosed})
	serve := func() error { return server.Serve(newHandshakes(limited, handshakes)) }
	if err := program.Serve(ctx, server, serve, handler.Stop, shutdownTimeout); err != nil {
		return fmt.Errorf("serve documents on %s: %w", listener.Addr(), err)
	}
	return nil
}
