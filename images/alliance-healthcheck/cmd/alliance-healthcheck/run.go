package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/answer"
	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/caller"
	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/checker"
	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/cluster"
	"github.com/deckhouse-mesh/istio/lib/program"
)

const (
	// callTimeout is longer than a proxy waits for a connection: so it is the proxy that says what failed.
	callTimeout   = 12 * time.Second
	serverTimeout = 10 * time.Second
	// stopGrace is what calls of peers get to end.
	stopGrace = 5 * time.Second
)

type options struct {
	program.Options

	listenAddress, meshSocket, podName string
}

func (o *options) check() error {
	if o.podName == "" {
		return errors.New("--pod-name must not be empty")
	}
	return nil
}

// run starts everything and returns when ctx has ended and all of it has stopped, or when a part fails.
func (o *options) run(ctx context.Context, p *program.Program) error {
	client, err := dynamic.NewForConfig(p.API)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	metrics := checker.NewMetrics()
	checks := checker.New(caller.New(o.meshSocket, callTimeout),
		&cluster.Reports{ConfigMaps: cluster.ConfigMaps(client, p.Namespace), Pod: o.podName}, metrics, time.Now, p.Log)
	targets, err := cluster.WatchTargets(client, p.Namespace, checks.SetTargets, p.Log)
	if err != nil {
		return err
	}
	handler, err := answer.NewHandler(p.ClusterUUID)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", o.listenAddress)
	if err != nil {
		return fmt.Errorf("listen for calls of peers: %w", err)
	}
	return p.Run(ctx, program.Parts{
		Background: []func(context.Context) error{
			func(ctx context.Context) error { targets.RunWithContext(ctx); return nil },
			checks.Run,
			func(ctx context.Context) error { return serve(ctx, listener, handler, p.Log) },
		},
		Ready:      checks.Ready,
		Metrics:    metrics.Registry,
		Attributes: []any{"listen", listener.Addr().String(), "meshSocket", o.meshSocket},
	})
}

// serve answers peers until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadTimeout: serverTimeout, WriteTimeout: serverTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return program.Serve(ctx, server, func() error { return server.Serve(listener) }, func() {}, stopGrace)
}
