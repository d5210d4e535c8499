// Command metadata-watcher notices when a peer's metadata changes. It asks peers
// and answers nobody.
package main

import (
	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/peerkinds"
	"github.com/deckhouse-mesh/istio/lib/program"
)

func main() { program.Main(newCommand()) }

func newCommand() *cobra.Command {
	var options options
	command := program.NewCommand(program.Description{
		Name:  "metadata-watcher",
		Short: "Notice when the metadata of peers change",
		Long: `metadata-watcher holds long polls on the peers named by IstioFederation and IstioMulticluster
resources, and notifies the discovery hook, by a value in the ConfigMaps federation-revisions and
multicluster-revisions, when something has changed there. It listens for probes and scrapes only;
metadata-exporter is the program that answers peers.`,
		Namespace: "namespace of the ConfigMaps that notify the discovery hook",
		Check:     func() error { return peerkinds.Check(options.watchKinds) },
	}, &options.Options, options.run)
	flags := command.Flags()
	flags.StringVar(&options.authnDir, "authn-dir", "/etc/metadata-watcher/authn", "directory with priv.pem, the Ed25519 key that signs this cluster's tokens")
	flags.StringVar(&options.clientCertificateDir, "client-certificate-dir", "/etc/metadata-watcher/client", "directory with tls.crt and tls.key, which prove this cluster to its peers besides the token; read again when they change, may be missing")
	peerkinds.AddFlag(flags, &options.watchKinds, "whose peers are watched")
	return command
}
