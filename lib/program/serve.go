package program

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
	// maxHeaderBytes has room for a token and for what proxies in front add; it counts the request line, too.
	maxHeaderBytes = 16 << 10
)

// NewServer makes a server for peers over TLS. Neither ReadTimeout nor
// WriteTimeout is set: both would end a request that is held. Handlers bound
// reading a body and writing an answer.
func NewServer(handler http.Handler, certificate *tlsfiles.Certificate, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: certificate.Get,
			// Asked for but not required, and verified for each request against the roots of that moment.
			ClientAuth:       tls.RequestClientCert,
			VerifyConnection: clientcert.RejectAbsurdChains,
		},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Scanners and probes without TLS are not worth a line by default.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Serve calls serve, one of server's, until ctx ends. Then the server accepts
// nothing more, stop ends the requests that would be held, and the others may
// finish within grace.
func Serve(ctx context.Context, server *http.Server, serve func() error, stop func(), grace time.Duration) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		stop()
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := server.Shutdown(deadline); err != nil {
			_ = server.Close()
		}
	}()
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// Readiness reports whether a program does its part, and the reason in a few words.
type Readiness func() (ready bool, reason string)

// ReadyWhen makes a Readiness of a function that returns nil once the program is ready.
func ReadyWhen(ready func() error) Readiness {
	return func() (bool, string) {
		if err := ready(); err != nil {
			return false, "not ready: " + err.Error()
		}
		return true, "ok"
	}
}

// Handlers by path.
type Handlers map[string]http.Handler

// ProbesHandler serves /healthz (the process answers), /readyz and others.
func ProbesHandler(readiness Readiness, others Handlers) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, reason := readiness()
		if !ready {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, reason)
	})
	for path, handler := range others {
		mux.Handle("GET "+path, handler)
	}
	return mux
}

// ServeProbes answers kubelet and Prometheus on listener until ctx ends.
func ServeProbes(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	err := Serve(ctx, server, func() error { return server.Serve(listener) }, func() {}, 2*time.Second)
	if err != nil {
		return fmt.Errorf("serve probes and metrics on %s: %w", listener.Addr(), err)
	}
	return nil
}
