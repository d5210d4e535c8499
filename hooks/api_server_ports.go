package hooks

import (
	"context"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var apiServerPortsPath = names.ValuesPath("internal.apiServerPorts")

// apiServerPorts reads at which ports this cluster's API servers listen: a NetworkPolicy
// limits metadata-exporter to them. It cannot name the servers themselves. Their addresses
// would not do: some networks do not compare the addresses of nodes with a policy's.
func apiServerPorts() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "api_server_ports",
		Config: sdk.HookConfig{
			// No comparison here: the numbers of an API server's objects are int64, which
			// shell-operator's jq passes on but cannot compare. select(. != null) drops them all.
			Kubernetes: []sdk.KubernetesConfig{apiServersBinding(`[.ports[]?.port]`)},
		},
		Run: runAPIServerPorts,
	}
}

func runAPIServerPorts(_ context.Context, in *sdk.HookInput) error {
	listed, err := snapshot[[]*int32](in, "api_servers")
	if err != nil {
		return err
	}
	var ports []int32
	for _, port := range slices.Concat(listed...) {
		if port != nil { // one that stands for all ports
			ports = append(ports, *port)
		}
	}
	if len(ports) == 0 { // the last known ones stay; a policy without them would cut the exporter off
		in.Logger.Warn("EndpointSlice default/kubernetes names no port of this cluster's API servers; the last known ones stay in force")
		return nil
	}
	slices.Sort(ports)
	in.Values.Set(apiServerPortsPath, slices.Compact(ports))
	return nil
}
