// Package program is what every program of the module has: its command and common
// flags, a logger, the API server, listeners for peers and for probes and scrapes,
// and an order in which all of it stops.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// Main executes command until it ends or the process gets SIGINT or SIGTERM.
// After an error the process exits with 1.
func Main(command *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := command.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", command.Name(), err)
		os.Exit(1)
	}
}

// Program is a program that is ready to run. Use Options.Prepare.
type Program struct {
	Options
	Log *slog.Logger
	// API is the access to this cluster's API server, Resources a client for the metadata of its objects.
	API       *rest.Config
	Resources metadata.Interface
	// Certificate is the listener's; nil without a listener.
	Certificate *tlsfiles.Certificate
	// IngressClients are the authorities whose client certificates prove the ingress controller, which may then forward
	// its callers' certificates; nil for none.
	IngressClients *tlsfiles.Roots
}

// Prepare opens what a program needs before it listens; name is in its User-Agent.
func (o Options) Prepare(name string, logs io.Writer) (*Program, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &Program{Options: o, Log: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: o.LogLevel}))}
	klog.SetSlogLogger(p.Log)
	var err error
	p.API, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	p.API.UserAgent = "istio-" + name
	if p.Resources, err = metadata.NewForConfig(p.API); err != nil {
		return nil, fmt.Errorf("make a Kubernetes client of objects' metadata: %w", err)
	}
	if o.Listener == nil {
		return p, nil
	}
	if p.Certificate, err = tlsfiles.LoadCertificate("TLS certificate", o.Listener.TLSDir, p.Log); err != nil {
		return nil, err
	}
	if o.Listener.IngressClientCA != "" {
		p.IngressClients = tlsfiles.WatchRoots("authority of the ingress controller's client certificate", o.Listener.IngressClientCA, p.Log)
	}
	return p, nil
}

// Parts of a program.
type Parts struct {
	// Serve answers peers on the listener until its context ends; nil in a program without one.
	Serve func(context.Context, net.Listener) error
	// Background is what else runs until its context ends.
	Background []func(context.Context) error
	// Ready returns nil once the program does its job.
	Ready   func() error
	Metrics prometheus.Gatherer
	// Attributes are added to the log line of the start.
	Attributes []any
}

// Run listens, and runs all parts until ctx ends or one of them fails. Peers are
// answered to the end first; what keeps the answers up to date stops after that.
func (p *Program) Run(ctx context.Context, parts Parts) error {
	listener, telemetry, err := p.listen(ctx)
	if err != nil {
		return err
	}
	attributes := []any{"clusterUUID", p.ClusterUUID, "apiServer", p.API.Host, "telemetry", telemetry.Addr().String()}
	if listener != nil {
		attributes = append(attributes, "listen", listener.Addr().String())
	} else {
		parts.Serve = func(ctx context.Context, _ net.Listener) error {
			<-ctx.Done()
			return nil
		}
	}
	p.Log.Info("starting", append(attributes, parts.Attributes...)...)

	group, unlessFailed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stopBackground := context.WithCancel(unlessFailed)
	defer stopBackground()
	serving, stopServing := context.WithCancel(unlessFailed)
	defer stopServing()
	defer context.AfterFunc(ctx, stopServing)()
	group.Go(func() error {
		defer stopBackground()
		return parts.Serve(serving, listener)
	})
	group.Go(func() error {
		handler := ProbesHandler(ReadyWhen(parts.Ready), Handlers{"/metrics": promhttp.HandlerFor(parts.Metrics, promhttp.HandlerOpts{})})
		return ServeProbes(background, telemetry, handler, p.Log)
	})
	for _, part := range parts.Background {
		group.Go(func() error { return part(background) })
	}
	err = group.Wait()
	p.Log.Info("stopped")
	return err
}

// listen for peers, if the program answers any, and for probes and scrapes.
func (p *Program) listen(ctx context.Context) (peers, telemetry net.Listener, err error) {
	var listen net.ListenConfig
	if p.Listener != nil {
		if peers, err = listen.Listen(ctx, "tcp", p.Listener.Address); err != nil {
			return nil, nil, fmt.Errorf("listen for peers: %w", err)
		}
	}
	if telemetry, err = listen.Listen(ctx, "tcp", p.TelemetryAddress); err != nil {
		err = fmt.Errorf("listen for probes and scrapes: %w", err)
		if peers != nil {
			err = errors.Join(err, peers.Close())
		}
		return nil, nil, err
	}
	return peers, telemetry, nil
}
