package hooks

import (
	"net/netip"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// apiServerAddressesBinding has a snapshot of the addresses of this cluster's API servers, a list.
func apiServerAddressesBinding() sdk.KubernetesConfig {
	return withoutEvents(apiServersBinding(`[.endpoints[]?.addresses[]?]`))
}

// ownNetwork is where no peer's gateway can be, as far as it is known. The
// hook needs apiServerAddressesBinding. What cannot be read is logged and left
// out: it must not prevent the use of peers.
func ownNetwork(in *sdk.HookInput) (metadata.Network, error) {
	var network metadata.Network
	for path, prefixes := range map[string]*[]netip.Prefix{
		"global.clusterConfiguration.podSubnetCIDR":     &network.Pods,
		"global.clusterConfiguration.serviceSubnetCIDR": &network.Services,
	} {
		parsed, err := metadata.ParsePrefixes(in.Values.Get(path).String())
		if err != nil {
			in.Logger.Error("cannot read a range of this cluster's own addresses, peers' gateways are not compared with it", "values", path, "error", err.Error())
		}
		*prefixes = parsed
	}
	addresses, err := snapshot[[]string](in, "api_servers")
	if err != nil {
		return network, err
	}
	for _, text := range slices.Concat(addresses...) {
		address, err := netip.ParseAddr(text)
		if err != nil { // an FQDN, or written by hand
			in.Logger.Error("cannot read an address of this cluster's API server, peers' gateways are not compared with it",
				"endpointSlice", "default/kubernetes", "error", err.Error())
			continue
		}
		network.APIServers = append(network.APIServers, address.Unmap())
	}
	return network, nil
}
