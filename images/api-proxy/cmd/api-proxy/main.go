// Command api-proxy lets the istiods of peers read this cluster's API, and
// nothing else.
package main

import (
	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/lib/program"
)

func main() { program.Main(newCommand()) }

func newCommand() *cobra.Command {
	var options options
	command := program.NewListeningCommand(program.Description{
		Name:  "api-proxy",
		Short: "Let the istiods of peers read this cluster's API",
		Long: `api-proxy answers peers over TLS: the clusters named by IstioMulticluster resources, which prove
themselves by a client certificate or a token. It forwards what Istio reads of a remote cluster to this
cluster's API server, with its own rights; it rejects everything else, and Secrets look empty.`,
		Namespace: "namespace of the control plane, with the Secret of accepted peers and istiod's mesh configuration",
		Check:     options.check,
	}, &options.Options, options.run)
	flags := command.Flags()
	flags.IntVar(&options.maxRequests, "max-requests-per-peer", 100, "requests, without watches, that one peer can have in flight")
	flags.IntVar(&options.maxWatches, "max-watches-per-peer", 300, "watches that one peer can hold at a time; an istiod holds about ten")
	flags.IntVar(&options.maxConnections, "max-connections", 1000, "connections at a time; beyond that, connections on which no peer asks are closed to make room")
	return command
}
