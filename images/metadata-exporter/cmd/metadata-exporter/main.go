// Command metadata-exporter serves this cluster's metadata to its neighbours
// and watches theirs.
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
		fmt.Fprintln(os.Stderr, "metadata-exporter:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var options options
	command := &cobra.Command{
		Use:   "metadata-exporter",
		Short: "Serve this cluster's metadata to neighbouring clusters and watch theirs",
		Long: `metadata-exporter answers neighbouring clusters over TLS, below /metadata/: who this cluster is,
where its ingress gateways are and which Services it publishes. It also holds long polls on the
neighbours named by IstioFederation and IstioMulticluster resources, and tells the discovery hook, by a value in the
ConfigMaps federation-revisions and multicluster-revisions, when something changed there.

Kubernetes is accessed by the default rules of kubectl: KUBECONFIG, else the Pod's own ServiceAccount.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), options, os.Stderr)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.listenAddress, "listen-address", ":8443", "address of the TLS listener for the documents")
	flags.StringVar(&options.telemetryAddress, "telemetry-address", ":8080", "address of the HTTP listener for /healthz, /readyz and /metrics")
	flags.StringVar(&options.namespace, "namespace", "d8-istio", "namespace of the ConfigMap metadata-exporter, of those that changes are told in, and of the Secret of accepted peers")
	flags.StringVar(&options.clusterDomain, "cluster-domain", "", "DNS domain of this cluster, which ends the hostnames of published Services")
	flags.StringVar(&options.clusterUUID, "cluster-uuid", "", "UUID of this cluster, the audience that neighbours' tokens must have")
	flags.StringVar(&options.authnDir, "authn-dir", "/etc/metadata-exporter/authn", "directory with priv.pem, the Ed25519 key that signs this cluster's tokens")
	flags.StringVar(&options.tlsDir, "tls-dir", "/etc/metadata-exporter/tls", "directory with tls.crt and tls.key of the listener, read again when they change")
	flags.StringVar(&options.clientCertificateDir, "client-certificate-dir", "/etc/metadata-exporter/client", "directory with tls.crt and tls.key, which prove this cluster to its peers besides the token; read again when they change, may be missing")
	flags.StringVar(&options.ingressClientCA, "ingress-client-ca", "", "PEM file with the authority of the ingress controller's client certificate; a connection with such a certificate may name its caller in the header ssl-client-cert")
	flags.BoolVar(&options.watchPeers, "watch-peers", true, "hold long polls on the peers of the resources of --watch-kinds and tell the discovery hook of changes")
	flags.StringSliceVar(&options.watchKinds, "watch-kinds", []string{"IstioFederation"}, "kinds of the resources that join neighbours, which may ask while the resource exists, and whose peers are watched: IstioFederation, IstioMulticluster")
	flags.TextVar(&options.logLevel, "log-level", options.logLevel, "least level of log lines: debug, info, warn or error")
	for _, required := range []string{"cluster-domain", "cluster-uuid"} {
		if err := command.MarkFlagRequired(required); err != nil {
			panic(err) // only for a flag that is not defined above
		}
	}
	return command
}
