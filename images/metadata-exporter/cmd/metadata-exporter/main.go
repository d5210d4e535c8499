// Command metadata-exporter serves this cluster's metadata to its peers and
// watches theirs.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/lib/program"
)

func main() { program.Main(newCommand()) }

func newCommand() *cobra.Command {
	var options options
	command := program.NewCommand(program.Description{
		Name:  "metadata-exporter",
		Short: "Serve this cluster's metadata to its peers and watch theirs",
		Long: `metadata-exporter answers peers over TLS, below /metadata/: who this cluster is, where its ingress
gateways are and which Services it publishes. It also holds long polls on the peers named by
IstioFederation and IstioMulticluster resources, and notifies the discovery hook, by a value in the
ConfigMaps federation-revisions and multicluster-revisions, when something has changed there.`,
		Namespace: "namespace of the ConfigMap metadata-exporter, of those that notify the discovery hook, and of the Secret of accepted peers",
	}, &options.Options, func(ctx context.Context) error { return run(ctx, options, os.Stderr) })
	flags := command.Flags()
	flags.StringVar(&options.clusterDomain, "cluster-domain", "", "DNS domain of this cluster, which ends the hostnames of published Services")
	flags.StringVar(&options.authnDir, "authn-dir", "/etc/metadata-exporter/authn", "directory with priv.pem, the Ed25519 key that signs this cluster's tokens")
	flags.StringVar(&options.clientCertificateDir, "client-certificate-dir", "/etc/metadata-exporter/client", "directory with tls.crt and tls.key, which prove this cluster to its peers besides the token; read again when they change, may be missing")
	flags.BoolVar(&options.watchPeers, "watch-peers", true, "hold long polls on the peers of the resources of --watch-kinds and notify the discovery hook of changes")
	flags.StringSliceVar(&options.watchKinds, "watch-kinds", []string{"IstioFederation"}, "kinds of the resources that accept peers, which may ask while the resource exists and are watched: IstioFederation, IstioMulticluster")
	program.RequireFlags(command, "cluster-domain")
	return command
}
