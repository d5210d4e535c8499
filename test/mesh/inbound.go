package mesh

import (
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// The listeners that all of a Pod's intercepted traffic comes through.
const (
	inboundListener  = "virtualInbound"
	outboundListener = "virtualOutbound"
)

// Mode is what a sidecar accepts on a port, in the words of PeerAuthentication.
type Mode string

// Modes of a port.
const (
	Strict     Mode = "STRICT"
	Permissive Mode = "PERMISSIVE"
	Disable    Mode = "DISABLE"
)

// InboundMode is what the sidecar accepts on the port of its Pod.
func (v *View) InboundMode(port int) (Mode, error) {
	chains, err := v.inbound(port)
	if err != nil {
		return "", err
	}
	var mutual, plaintext bool
	for _, chain := range chains {
		context, isTLS, err := unpackAs[tlsv3.DownstreamTlsContext](chain.GetTransportSocket().GetTypedConfig())
		switch {
		case err != nil:
			return "", fmt.Errorf("read the TLS settings of inbound port %d: %w", port, err)
		case isTLS && context.GetRequireClientCertificate().GetValue():
			mutual = true
		case !isTLS && chain.GetFilterChainMatch().GetTransportProtocol() != "tls":
			plaintext = true
		}
	}
	switch {
	case mutual && plaintext:
		return Permissive, nil
	case mutual:
		return Strict, nil
	case plaintext:
		return Disable, nil
	}
	return "", fmt.Errorf("inbound port %d accepts neither mutual TLS nor plaintext in its %d filter chains", port, len(chains))
}

// Ruling is one authorization filter: its action (ALLOW, DENY, LOG), and the
// policies it holds, by Istio's name such as ns[shop]-policy[readers]-rule[0].
type Ruling struct {
	Action   string
	Policies []string
}

// InboundRulings are the authorization filters that what comes in on the port
// passes, in the order in which it does. They are the same in all filter
// chains of the port; it is an error when they are not.
func (v *View) InboundRulings(port int) ([]Ruling, error) {
	chains, err := v.inbound(port)
	if err != nil {
		return nil, err
	}
	var rulings []Ruling
	for i, chain := range chains {
		ofChain, err := readRulings(chain)
		if err != nil {
			return nil, fmt.Errorf("read the authorization of inbound port %d: %w", port, err)
		}
		if i > 0 && !slices.EqualFunc(rulings, ofChain, sameRuling) {
			return nil, fmt.Errorf("inbound port %d rules %v in one filter chain and %v in another", port, rulings, ofChain)
		}
		rulings = ofChain
	}
	return rulings, nil
}

func sameRuling(a, b Ruling) bool {
	return a.Action == b.Action && slices.Equal(a.Policies, b.Policies)
}

func readRulings(chain *listenerv3.FilterChain) ([]Ruling, error) {
	var rulings []Ruling
	for _, filter := range chain.GetFilters() {
		network, ok, err := unpackAs[rbacv3.RBAC](filter.GetTypedConfig())
		switch {
		case err != nil:
			return nil, err
		case ok:
			rulings = append(rulings, ruling(network.GetRules()))
			continue
		}
		manager, _, err := unpackAs[httpv3.HttpConnectionManager](filter.GetTypedConfig())
		if err != nil {
			return nil, err
		}
		for _, filter := range manager.GetHttpFilters() {
			http, ok, err := unpackAs[httprbacv3.RBAC](filter.GetTypedConfig())
			if err != nil {
				return nil, err
			}
			if ok {
				rulings = append(rulings, ruling(http.GetRules()))
			}
		}
	}
	return rulings, nil
}

func ruling(rules *rbacconfigv3.RBAC) Ruling {
	result := Ruling{Action: rules.GetAction().String()}
	for policy := range rules.GetPolicies() {
		result.Policies = append(result.Policies, policy)
	}
	slices.Sort(result.Policies)
	return result
}

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
