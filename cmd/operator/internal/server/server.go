// Package server serves the operator's health and metrics over plain HTTP.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Readiness says whether the operator does its part, and in a word why (not).
type Readiness func() (ready bool, reason string)

// Server is alive as long as the process; what readiness means is set while it
// runs.
type Server struct {
	http      *http.Server
	readiness atomic.Pointer[Readiness]
}

// Handlers are served besides /healthz and /readyz, by path.
type Handlers map[string]http.Handler

// Start listens at address and serves until Stop. The error is that of
// listening; later ones are logged.
func Start(address string, handlers Handlers, logger *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w: choose another --listen-address or --listen-port", err)
	}

	server := &Server{}
	server.SetReadiness(func() (bool, string) { return false, "starting" })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", server.serveReadiness)
	for path, handler := range handlers {
		mux.Handle("GET "+path, handler)
	}
	server.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	go func() {
		if err := server.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("serve health and metrics", slog.Any("error", err))
		}
	}()
	return server, nil
}

// SetReadiness makes /readyz answer what readiness returns.
func (s *Server) SetReadiness(readiness Readiness) { s.readiness.Store(&readiness) }

// Stop lets requests finish for at most two seconds.
func (s *Server) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

func (s *Server) serveReadiness(w http.ResponseWriter, _ *http.Request) {
	ready, reason := (*s.readiness.Load())()
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, reason)
}
