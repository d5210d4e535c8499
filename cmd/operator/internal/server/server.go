// Package server serves the operator's health and metrics over plain HTTP.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/lib/program"
)

// Server is alive as long as the process; its readiness is set while it runs.
type Server struct {
	readiness atomic.Pointer[program.Readiness]
	stop      context.CancelFunc
	stopped   chan struct{}
}

// Start listens at address and serves until Stop. The error is that of
// listening; later ones are logged.
func Start(address string, handlers program.Handlers, logger *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w: choose another --listen-address or --listen-port", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	server := &Server{stop: stop, stopped: make(chan struct{})}
	server.SetReadiness(func() (bool, string) { return false, "starting" })
	handler := program.ProbesHandler(func() (bool, string) { return (*server.readiness.Load())() }, handlers)
	go func() {
		defer close(server.stopped)
		if err := program.ServeProbes(ctx, listener, handler, logger); err != nil {
			logger.Error("the server of health and metrics has failed", slog.Any("error", err))
		}
	}()
	return server, nil
}

// SetReadiness makes /readyz answer what readiness returns.
func (s *Server) SetReadiness(readiness program.Readiness) { s.readiness.Store(&readiness) }

// Stop lets requests finish for a moment.
func (s *Server) Stop() {
	s.stop()
	<-s.stopped
}
