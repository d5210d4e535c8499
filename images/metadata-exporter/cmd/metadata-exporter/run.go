package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/gctuner"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

type options struct {
	program.Options

	clusterDomain        string
	authnDir             string
	clientCertificateDir string
	watchPeers           bool
	watchKinds           []string
}

func (o options) check() error {
	if err := metadata.CheckTrustDomain(o.clusterDomain); err != nil {
		return fmt.Errorf("--cluster-domain: %w", err)
	}
	known := []string{watcher.Federations.Name, watcher.Multiclusters.Name}
	for _, kind := range o.watchKinds {
		if !slices.Contains(known, kind) {
			return fmt.Errorf("--watch-kinds: %q is not one of %v", kind, known)
		}
	}
	return nil
}

// run starts everything and returns when ctx has ended and all of it has stopped, or when a part fails.
func run(ctx context.Context, options options, logs io.Writer) error {
	if err := options.check(); err != nil {
		return err
	}
	p, err := options.Prepare("metadata-exporter", logs)
	if err != nil {
		return err
	}
	// Pokes are paced for each resource; the client's own limit must not delay them.
	p.API.QPS, p.API.Burst = 100, 200
	api, err := cluster.NewAPI(p.API, p.Namespace)
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	registry := peers.NewRegistry(options.watchKinds...)
	syncer, err := peers.NewSyncer(registry, peers.Cluster{Secrets: api.Secrets, Namespace: p.Namespace, Resources: p.Resources},
		metrics.Peers, metrics.SourceInvalid.WithLabelValues("Secret "+peers.SecretName), p.Log)
	if err != nil {
		return err
	}
	published := &cluster.Publisher{
		API: api, Namespace: p.Namespace, ClusterDomain: options.clusterDomain,
		Documents: documents.NewSet(options.clusterDomain, time.Now), Metrics: metrics, Log: p.Log,
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
	background := []func(context.Context) error{
		syncer.Run, published.Run,
		func(ctx context.Context) error { gctuner.Run(ctx, handler.Requests); return nil },
	}
	watchers, err := watchersOf(options, p, metrics)
	if err != nil {
		return err
	}
	for _, watch := range watchers {
		background = append(background, watch.Run)
	}
	return p.Run(ctx, program.Parts{
		Serve: func(ctx context.Context, listener net.Listener) error {
			return server.Serve(ctx, listener, handler, p.Certificate, p.Log)
		},
		Background: background,
		Ready:      ready,
		Metrics:    metrics.Registry,
		Attributes: []any{"clusterDomain", options.clusterDomain, "watchPeers", options.watchPeers},
	})
}

// watchersOf makes one watcher for each kind of resources whose peers are watched.
func watchersOf(options options, p *program.Program, metrics *telemetry.Metrics) ([]*watcher.Watcher, error) {
	if !options.watchPeers {
		return nil, nil
	}
	client, err := dynamic.NewForConfig(p.API)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	fetcher := watcher.Presenter{
		Client:      peer.NewClient(),
		Certificate: tlsfiles.WatchCertificate("client certificate", options.clientCertificateDir, p.Log),
	}
	var watchers []*watcher.Watcher
	for _, kind := range []watcher.Kind{watcher.Federations, watcher.Multiclusters} {
		if slices.Contains(options.watchKinds, kind.Name) {
			watchers = append(watchers, &watcher.Watcher{
				Kind: kind, Client: client, Namespace: p.Namespace, Peers: fetcher,
				Token:   watcher.Signer{Dir: options.authnDir, ClusterUUID: p.ClusterUUID}.Token,
				Metrics: metrics, Log: p.Log, Timing: watcher.DefaultTiming(),
			})
		}
	}
	return watchers, nil
}
