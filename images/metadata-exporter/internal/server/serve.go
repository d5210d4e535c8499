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

// shutdownTimeout is what requests in flight get to finish after Stop answered the held ones.
const shutdownTimeout = 3 * time.Second

// Serve answers on listener with TLS (HTTP/2 and HTTP/1.1) until ctx ends,
// then lets requests in flight finish.
func Serve(ctx context.Context, listener net.Listener, handler *Handler, certificate *tlsfiles.Certificate, log *slog.Logger) error {
	tlsConfig := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: certificate.Get,
		// A neighbour may prove itself by its certificate, and need not: what it
		// proves is judged for each request (authenticate.go).
		ClientAuth:       tls.RequestClientCert,
		VerifyConnection: clientcert.RefuseAbsurdChains,
		NextProtos:       []string{"h2", "http/1.1"},
	}
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig.Clone(),
		ReadHeaderTimeout: 5 * time.Second,
		// Neither ReadTimeout nor WriteTimeout: both would end a held request.
		// Bodies are refused unread, and Handler bounds the sending of each answer.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		HTTP2:          &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 10 * time.Second},
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
	if err := server.Serve(newHandshakes(listener, tlsConfig)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve documents on %s: %w", listener.Addr(), err)
	}
	<-stopped
	return nil
}
