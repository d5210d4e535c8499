// Command alliance-healthcheck calls every peer through the mesh, and answers the
// calls of peers. It reports what it finds, and decides nothing.
package main

import (
	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/lib/program"
)

func main() { program.Main(newCommand()) }

func newCommand() *cobra.Command {
	var options options
	command := program.NewCommand(program.Description{
		Name:  "alliance-healthcheck",
		Short: "Call every peer through the mesh, and answer the calls of peers",
		Long: `alliance-healthcheck runs beside a proxy of the mesh. Every 15 seconds, and after a change of the list in the
ConfigMap alliance-healthcheck, it calls the Service of the same name in every peer's cluster, and reports which
part of the way has failed in the ConfigMap alliance-healthcheck-reports. To peers it answers with this cluster's UUID.`,
		Namespace: "namespace of the two ConfigMaps",
		Check:     options.check,
	}, &options.Options, options.run)
	flags := command.Flags()
	flags.StringVar(&options.listenAddress, "listen-address", "127.0.0.1:8001", "address at which the proxy hands over calls of peers, plain HTTP")
	flags.StringVar(&options.meshSocket, "mesh-socket", "/var/run/mesh/outbound.sock", "socket at which the proxy takes calls to peers")
	flags.StringVar(&options.podName, "pod-name", "", "name of this Pod, under which it reports")
	program.RequireFlags(command, "pod-name")
	return command
}
