package mesh

import (
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// PassthroughSNI is the server name by which a gateway with AUTO_PASSTHROUGH knows a port of a Service:
// outbound_.80_._.api.shop.svc.cluster.local.
func PassthroughSNI(port int, host string) string {
	return fmt.Sprintf("outbound_.%d_._.%s", port, host)
}

// Passthrough is the cluster that a gateway's listener on the port sends a
// connection to, untouched, whose ClientHello has this server name and one of
// these ALPN protocols. It is an error when nothing matches, as Envoy then
// closes the connection, or when the gateway would end the TLS itself.
func (v *View) Passthrough(port int, sni string, alpn []string) (string, error) {
	var names []string
	for _, listener := range v.Listeners {
		if int(listener.GetAddress().GetSocketAddress().GetPortValue()) != port {
			continue
		}
		for _, chain := range listener.GetFilterChains() {
			match := chain.GetFilterChainMatch()
			names = append(names, match.GetServerNames()...)
			if !slices.Contains(match.GetServerNames(), sni) || !offers(match.GetApplicationProtocols(), alpn) {
				continue
			}
			return passthroughOf(chain, sni)
		}
	}
	return "", fmt.Errorf("no filter chain on port %d is for %s with one of %v; there are some for %v", port, sni, alpn, names)
}

// offers tells whether the client offers one of the wanted protocols; none wanted is any.
func offers(wanted, offered []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(offered, func(protocol string) bool { return slices.Contains(wanted, protocol) })
}

func passthroughOf(chain *listenerv3.FilterChain, sni string) (string, error) {
	if chain.GetTransportSocket() != nil {
		return "", fmt.Errorf("the filter chain for %s ends the TLS instead of passing it through", sni)
	}
	proxy, err := firstFilter[tcpv3.TcpProxy](chain)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the filter chain for %s: %w", sni, err)
	case proxy.GetCluster() == "":
		return "", fmt.Errorf("the filter chain for %s has no TCP proxy to one cluster", sni)
	}
	return proxy.GetCluster(), nil
}
