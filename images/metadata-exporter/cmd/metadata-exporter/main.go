// Command metadata-exporter serves this cluster's metadata to its peers. It asks
// nobody but this cluster's API server, and writes nothing there.
package main

import (
	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/peerkinds"
	"github.com/deckhouse-mesh/istio/lib/program"
)

func main() { program.Main(newCommand()) }

func newCommand() *cobra.Command {
	var options options
	command := program.NewListeningCommand(program.Description{
		Name:  "metadata-exporter",
		Short: "Serve this cluster's metadata to its peers",
		Long: `metadata-exporter answers peers over TLS, below /metadata/: who this cluster is, where its ingress
gateways are and which Services it publishes. It holds no key except that of its listener, and writes nothing;
metadata-watcher is the program that asks peers.`,
		Namespace: "namespace of the ConfigMap metadata-exporter and of the Secret of accepted peers",
		Check:     options.check,
	}, &options.Options, options.run)
	flags := command.Flags()
	flags.StringVar(&options.clusterDomain, "cluster-domain", "", "DNS domain of this cluster, which ends the hostnames of published Services")
	peerkinds.AddFlag(flags, &options.watchKinds, "that accept peers, which may ask while the resource exists")
	program.RequireFlags(command, "cluster-domain")
	return command
}
