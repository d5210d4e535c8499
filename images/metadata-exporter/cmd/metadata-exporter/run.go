package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/gctuner"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/peerkinds"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/program"
)

type options struct {
	program.Options

	clusterDomain string
	watchKinds    []string
}

func (o *options) check() error {
	if err := metadata.CheckTrustDomain(o.clusterDomain); err != nil {
		return fmt.Errorf("--cluster-domain: %w", err)
	}
	return peerkinds.Check(o.watchKinds)
}

// run starts everything and returns when ctx has ended and all of it has stopped, or when a part fails.
func (o *options) run(ctx context.Context, p *program.Program) error {
	api, err := cluster.NewAPI(p.API, p.Namespace)
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	registry := peers.NewRegistry(o.watchKinds...)
	syncer, err := peers.NewSyncer(registry, peers.Cluster{Secrets: api.Secrets, Namespace: p.Namespace, Resources: p.Resources},
		metrics.Peers, metrics.SourceInvalid.WithLabelValues("Secret "+peers.SecretName), p.Log)
	if err != nil {
		return err
	}
	published := &cluster.Publisher{
		API: api, Namespace: p.Namespace, ClusterDomain: o.clusterDomain,
		Documents: documents.NewSet(o.clusterDomain, time.Now), Metrics: metrics, Log: p.Log,
	}
	ready := func() error {
		if err := syncer.Ready(); err != nil {
			return err
		}
		return published.Ready()
	}
	handler := server.NewHandler(server.Options{
		Documents: published.Documents, Peers: registry, ClusterUUID: p.ClusterUUID,
		IngressClients: p.IngressClients, Ready: ready, Metrics: metrics, Log: p.Log,
	})
	return p.Run(ctx, program.Parts{
		Serve: func(ctx context.Context, listener net.Listener) error {
			return server.Serve(ctx, listener, handler, p.Certificate, p.Log)
		},
		Background: []func(context.Context) error{
			syncer.Run, published.Run,
			func(ctx context.Context) error { gctuner.Run(ctx, handler.Requests); return nil },
		},
		Ready:      ready,
		Metrics:    metrics.Registry,
		Attributes: []any{"clusterDomain", o.clusterDomain},
	})
}
