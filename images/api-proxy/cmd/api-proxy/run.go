package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/server"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/probes"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

type options struct {
	listenAddress, telemetryAddress         string
	namespace, clusterUUID                  string
	tlsDir, ingressClientCA                 string
	maxRequests, maxWatches, maxConnections int
	logLevel                                slog.Level
}

func (o options) check() error {
	if o.clusterUUID == "" {
		return errors.New("--cluster-uuid must not be empty")
	}
	if o.namespace == "" {
		return errors.New("--namespace must not be empty")
	}
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
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	resources, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client of objects' metadata: %w", err)
	}
	apiServer, err := upstream.New(config, log, nil)
	if err != nil {
		return err
	}
	certificate, err := tlsfiles.LoadCertificate("TLS certificate", options.tlsDir, log)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", options.listenAddress)
	if err != nil {
		return fmt.Errorf("listen for neighbours: %w", err)
	}
	telemetryListener, err := listen.Listen(ctx, "tcp", options.telemetryAddress)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for probes and scrapes: %w", err), listener.Close())
	}

	metrics := telemetry.NewMetrics(func() time.Time { return certificate.Current().Leaf.NotAfter })
	feed := &cluster.Feed{
		Client: client, Resources: resources, Namespace: options.namespace,
		Neighbours: callers.NewRegistry(), Metrics: metrics, Log: log,
	}
	var ingressClients *tlsfiles.Roots
	if options.ingressClientCA != "" {
		ingressClients = tlsfiles.WatchRoots("authority of the ingress controller's client certificate", options.ingressClientCA, log)
	}
	handler := server.NewHandler(server.Options{
		Identifier: callers.Identifier{
			Registry: feed.Neighbours, ClusterUUID: options.clusterUUID, IngressClients: ingressClients,
			Verified: authn.NewVerifiedTokens(nil),
		},
		Judge:       requests.Judge{Namespace: options.namespace},
		Upstream:    apiServer,
		Ready:       feed.Ready,
		MaxRequests: options.maxRequests, MaxWatches: options.maxWatches, WriteTimeout: server.WriteTimeout,
		Metrics: metrics, Log: log,
	})

	log.Info("starting", "clusterUUID", options.clusterUUID, "apiServer", config.Host,
		"listen", listener.Addr().String(), "telemetry", telemetryListener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return feed.Run(ctx) })
	group.Go(func() error {
		return server.Serve(ctx, listener, handler, certificate, options.maxConnections, log)
	})
	group.Go(func() error {
		return probes.Serve(ctx, telemetryListener, probes.Handler(metrics.Registry, feed.Ready), log)
	})
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
	config.UserAgent = "istio-api-proxy"
	return config, nil
}
