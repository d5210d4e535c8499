package mesh

import (
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// The listeners that all of a Pod's intercepted traffic comes through.
const (
	inboundListener  = "virtualInbound"
	outboundListener = "virtualOutbound"
)

// inbound are the filter chains for the port, or, when it has none of its own, those for all other ports.
func (v *View) inbound(port int) ([]*listenerv3.FilterChain, error) {
	listener := v.Listeners[inboundListener]
	if listener == nil {
		return nil, fmt.Errorf("istiod has sent no listener %s", inboundListener)
	}
	var own, other []*listenerv3.FilterChain
	for _, chain := range listener.GetFilterChains() {
		match := chain.GetFilterChainMatch().GetDestinationPort()
		switch {
		case match == nil:
			other = append(other, chain)
		case int(match.GetValue()) == port:
			own = append(own, chain)
		}
	}
	if len(own) > 0 {
		return own, nil
	}
	return other, nil
}

// filterChains of a listener, the default one last.
func filterChains(listener *listenerv3.Listener) []*listenerv3.FilterChain {
	chains := slices.Clone(listener.GetFilterChains())
	if last := listener.GetDefaultFilterChain(); last != nil {
		chains = append(chains, last)
	}
	return chains
}

// connectionManager of a filter chain, nil when it does not speak HTTP.
func connectionManager(chain *listenerv3.FilterChain) (*httpv3.HttpConnectionManager, error) {
	return firstFilter[httpv3.HttpConnectionManager](chain)
}

func firstFilter[T any, M message[T]](chain *listenerv3.FilterChain) (M, error) {
	for _, filter := range chain.GetFilters() {
		settings, ok, err := unpackAs[T, M](filter.GetTypedConfig())
		if ok || err != nil {
			return settings, err
		}
	}
	return nil, nil
}
