package hooks

import (
	"net/netip"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// apiServersBinding keeps a snapshot of where this cluster's API servers are, a
// list of addresses, without waking the hook. They maintain that EndpointSlice themselves.
func apiServersBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "api_servers",
		APIVersion:                   "discovery.k8s.io/v1",
		Kind:                         "EndpointSlice",
		NamespaceSelector:            inNamespace(metav1.NamespaceDefault),
		NameSelector:                 named("kubernetes"),
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter:                     `[.endpoints[]?.addresses[]?]`,
	}
}

// ownNetwork is where no neighbour's gateway can be, as far as it is known. The
// hook needs apiServersBinding. What cannot be read is logged and left
// out: neighbours must not be lost for it.
func ownNetwork(in *sdk.HookInput) (metadata.Network, error) {
	var network metadata.Network
	for path, prefixes := range map[string]*[]netip.Prefix{
		"global.clusterConfiguration.podSubnetCIDR":     &network.Pods,
		"global.clusterConfiguration.serviceSubnetCIDR": &network.Services,
	} {
		parsed, err := metadata.ParsePrefixes(in.Values.Get(path).String())
		if err != nil {
			in.Logger.Error("a range of this cluster's own addresses cannot be read, neighbours' gateways are not compared with it", "values", path, "error", err.Error())
		}
		*prefixes = parsed
	}
	slices, err := snapshot[[]string](in, "api_servers")
	if err != nil {
		return network, err
	}
	for _, addresses := range slices {
		for _, text := range addresses {
			address, err := netip.ParseAddr(text)
			if err != nil { // an FQDN, or written by hand
				in.Logger.Error("an address of this cluster's API server cannot be read, neighbours' gateways are not compared with it",
					"endpointSlice", "default/kubernetes", "error", err.Error())
				continue
			}
			network.APIServers = append(network.APIServers, address.Unmap())
		}
	}
	return network, nil
}
