package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
)

// shutdownTimeout is how long requests may last after the server's end has begun.
const shutdownTimeout = 5 * time.Second

// Serve answers what a Load sends until ctx ends: every HTTP request with 200, and
// gRPC's reflection service.
func Serve(ctx context.Context, web, streams net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }),
		ReadHeaderTimeout: shutdownTimeout,
	}
	grpcServer := grpc.NewServer()
	reflection.Register(grpcServer)

	ended := make(chan error, 2)
	go func() { ended <- server.Serve(web) }()
	go func() { ended <- grpcServer.Serve(streams) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	stopped := server.Shutdown(limited)
	grpcServer.Stop()
	return errors.Join(err, stopped)
}
