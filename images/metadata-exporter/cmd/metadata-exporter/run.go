package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	kubemetadata "k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/garbage"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/server"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/probes"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

type options struct {
	listenAddress, telemetryAddress string
	namespace                       string
	clusterDomain, clusterUUID      string
	authnDir, tlsDir                string
	clientCertificateDir            string
	ingressClientCA                 string
	watchPeers                      bool
	watchKinds                      []string
	logLevel                        slog.Level
}

func (o options) check() error {
	if o.clusterUUID == "" {
		return errors.New("--cluster-uuid must not be empty")
	}
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

// watchedKinds are the kinds of the resources whose peers are watched.
func (o options) watchedKinds() []watcher.Kind {
	return slices.DeleteFunc([]watcher.Kind{watcher.Federations, watcher.Multiclusters}, func(kind watcher.Kind) bool {
		return !slices.Contains(o.watchKinds, kind.Name)
	})
}

// run starts everything and returns when ctx has ended and all of it has stopped, or when a part fails.
func run(ctx context.Context, options options, logs io.Writer) error {
	if err := options.check(); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: options.logLevel}))
	klog.SetSlogLogger(log)

	config, err := kubernetesConfig()
	if err != nil {
		return err
	}
	api, err := cluster.NewAPI(config, options.namespace)
	if err != nil {
		return err
	}
	resources, err := kubemetadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client of objects' metadata: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	certificate, err := tlsfiles.LoadCertificate("TLS certificate", options.tlsDir, log)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	documentListener, err := listen.Listen(ctx, "tcp", options.listenAddress)
	if err != nil {
		return fmt.Errorf("listen for neighbours: %w", err)
	}
	telemetryListener, err := listen.Listen(ctx, "tcp", options.telemetryAddress)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for probes and scrapes: %w", err), documentListener.Close())
	}

	metrics := telemetry.NewMetrics()
	feed := &cluster.Feed{
		API:           api,
		Resources:     resources,
		Kinds:         options.watchKinds,
		Namespace:     options.namespace,
		ClusterDomain: options.clusterDomain,
		Documents:     documents.NewSet(options.clusterDomain, time.Now),
		Neighbours:    neighbours.New(),
		Metrics:       metrics,
		Log:           log,
	}
	var ingressClients *tlsfiles.Roots
	if options.ingressClientCA != "" {
		ingressClients = tlsfiles.WatchRoots("authority of the ingress controller's client certificate", options.ingressClientCA, log)
	}
	handler := server.NewHandler(server.Options{
		Documents: feed.Documents, Neighbours: feed.Neighbours, ClusterUUID: options.clusterUUID,
		IngressClients: ingressClients, Ready: feed.Ready, Metrics: metrics, Log: log,
	})

	log.Info("starting", "clusterUUID", options.clusterUUID, "clusterDomain", options.clusterDomain,
		"listen", documentListener.Addr().String(), "telemetry", telemetryListener.Addr().String(), "watchPeers", options.watchPeers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return feed.Run(ctx) })
	group.Go(func() error { return server.Serve(ctx, documentListener, handler, certificate, log) })
	group.Go(func() error {
		return probes.Serve(ctx, telemetryListener, probes.Handler(metrics.Registry, feed.Ready), log)
	})
	group.Go(func() error {
		garbage.Collect(ctx, handler.Requests)
		return nil
	})
	if options.watchPeers {
		peers := watcher.Presenter{
			Client:      peer.NewClient(),
			Certificate: tlsfiles.WatchCertificate("client certificate", options.clientCertificateDir, log),
		}
		for _, kind := range options.watchedKinds() {
			watch := &watcher.Watcher{
				Kind: kind, Client: dynamicClient, Namespace: options.namespace, Peers: peers,
				Token:   watcher.Signer{Dir: options.authnDir, ClusterUUID: options.clusterUUID}.Token,
				Metrics: metrics, Log: log, Timing: watcher.DefaultTiming(),
			}
			group.Go(func() error { return watch.Run(ctx) })
		}
	}
	err = group.Wait()
	log.Info("stopped")
	return err
}

func kubernetesConfig() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	// Pokes are paced for each resource; the client's own limit must not delay them.
	config.QPS, config.Burst = 100, 200
	config.UserAgent = "istio-metadata-exporter"
	return config, nil
}
