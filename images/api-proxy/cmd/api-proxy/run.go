package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/server"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/program"
)

type options struct {
	program.Options

	maxRequests, maxWatches, maxConnections int
}

func (o *options) check() error {
	for name, limit := range map[string]int{
		"--max-requests-per-peer": o.maxRequests, "--max-watches-per-peer": o.maxWatches, "--max-connections": o.maxConnections,
	} {
		if limit < 1 {
			return fmt.Errorf("%s must be at least 1", name)
		}
	}
	return nil
}

// run starts everything and returns when ctx has ended and all of it has stopped, or when a part fails.
func (o *options) run(ctx context.Context, p *program.Program) error {
	client, err := kubernetes.NewForConfig(p.API)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	apiServer, err := upstream.New(p.API)
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics(func() time.Time { return p.Certificate.Current().Leaf.NotAfter })
	registry := peers.NewRegistry(v1alpha1.IstioMulticlusterKind)
	syncer, err := peers.NewSyncer(registry, peers.Cluster{
		Secrets: client.CoreV1().Secrets(p.Namespace), Namespace: p.Namespace, Resources: p.Resources,
	}, metrics.Peers, metrics.SourceInvalid, p.Log)
	if err != nil {
		return err
	}
	handler := server.NewHandler(server.Options{
		Identifier: callers.Identifier{
			Registry: registry, ClusterUUID: p.ClusterUUID, IngressClients: p.IngressClients,
			Verified: authn.NewVerifiedTokens(),
		},
		Judge:       requests.Judge{Namespace: p.Namespace},
		Upstream:    apiServer,
		Ready:       syncer.Ready,
		Peers:       func() int { return registry.Current().Len() },
		MaxRequests: o.maxRequests, MaxWatches: o.maxWatches, WriteTimeout: server.WriteTimeout,
		Metrics: metrics, Log: p.Log,
	})
	return p.Run(ctx, program.Parts{
		Serve: func(ctx context.Context, listener net.Listener) error {
			return server.Serve(ctx, listener, handler, p.Certificate, o.maxConnections, p.Log)
		},
		Background: []func(context.Context) error{syncer.Run},
		Ready:      syncer.Ready,
		Metrics:    metrics.Registry,
	})
}
