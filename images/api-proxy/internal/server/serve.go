package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxHeaderBytes holds a token and what proxies in front add; it counts the request line, too.
	maxHeaderBytes = 16 << 10
	// shutdownTimeout is what requests in flight get to finish after Stop ended the watches.
	shutdownTimeout = 10 * time.Second
)

// Serve answers on listener with TLS, HTTP/2 and HTTP/1.1, on at most
// maxConnections at a time, where those that serve nobody make room, until ctx ends. Then it accepts nothing more, ends
// the watches and lets other requests finish.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, certificate *tlsfiles.Certificate, maxConnections int, log *slog.Logger) error {
	server := &http.Server{
		Handler:                      handler,
		ConnContext:                  withConnection,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused like the rest
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: certificate.Get,
			// Asked for, and verified for each request against the roots of that moment.
			ClientAuth:       tls.RequestClientCert,
			VerifyConnection: clientcert.RefuseAbsurdChains,
		},
		// Neither ReadTimeout nor WriteTimeout: both would end a watch. The handler
		// bounds reading a body and writing each piece of an answer.
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			// Callers send next to nothing.
			MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: 4 * maxBody, MaxReadFrameSize: 16 << 10,
			SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: handler.WriteTimeout,
		},
		// Scanners and probes without TLS are not worth a line by default.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		handler.Stop()
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(deadline); err != nil {
			_ = server.Close()
		}
	}()
	limited := limitConnections(listener, maxConnections, strangerTimeout, handler.Metrics)
	if err := server.ServeTLS(limited, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve neighbours on %s: %w", listener.Addr(), err)
	}
	<-stopped
	return nil
}
