// Command api-proxy lets neighbouring clusters' istiods read this cluster's
// API, and nothing else.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "api-proxy:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var options options
	command := &cobra.Command{
		Use:   "api-proxy",
		Short: "Let neighbouring clusters' istiods read this cluster's API",
		Long: `api-proxy answers neighbouring clusters over TLS: those named by IstioMulticluster resources, proved
by a client certificate or a token. It forwards what Istio reads of a remote cluster to this cluster's
API server, with its own rights; what is not on its list is refused, and Secrets look empty.

Kubernetes is accessed by the default rules of kubectl: KUBECONFIG, else the Pod's own ServiceAccount.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), options, os.Stderr)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.listenAddress, "listen-address", ":8443", "address of the TLS listener for neighbours")
	flags.StringVar(&options.telemetryAddress, "telemetry-address", ":8080", "address of the HTTP listener for /healthz, /readyz and /metrics")
	flags.StringVar(&options.namespace, "namespace", "d8-istio", "namespace of the control plane, with the Secret of accepted peers and istiod's mesh configuration")
	flags.StringVar(&options.clusterUUID, "cluster-uuid", "", "UUID of this cluster, the audience that neighbours' tokens must have")
	flags.StringVar(&options.tlsDir, "tls-dir", "/etc/api-proxy/tls", "directory with tls.crt and tls.key of the listener, read again when they change")
	flags.StringVar(&options.ingressClientCA, "ingress-client-ca", "", "PEM file with the authority of the ingress controller's client certificate; a connection with such a certificate may name its caller in the header ssl-client-cert")
	flags.IntVar(&options.maxRequests, "max-requests-per-peer", 100, "requests, without watches, that one neighbour can have going at a time")
	flags.IntVar(&options.maxWatches, "max-watches-per-peer", 300, "watches that one neighbour can hold at a time; an istiod holds about ten")
	flags.IntVar(&options.maxConnections, "max-connections", 1000, "connections at a time; beyond that, those on which no neighbour asks are closed to make room")
	flags.TextVar(&options.logLevel, "log-level", options.logLevel, "least level of log lines: debug, info, warn or error")
	if err := command.MarkFlagRequired("cluster-uuid"); err != nil {
		panic(err) // only for a flag that is not defined above
	}
	return command
}
