package mesh

import (
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

func TestAGatewayPassesThroughWhatItsListenerNames(t *testing.T) {
	const sni, protocol = "outbound_.80_._.api.shop.svc.cluster.local", "istio"
	chain := func(names ...string) *listenerv3.FilterChain {
		return &listenerv3.FilterChain{
			FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: names, ApplicationProtocols: []string{protocol}},
			Filters:          []*listenerv3.Filter{filter(t, tcpTo("to "+strings.Join(names, ",")))},
		}
	}
	ending := chain(sni)
	ending.TransportSocket = socket(t, &tlsv3.DownstreamTlsContext{})
	nowhere := chain(sni)
	nowhere.Filters = nil
	if got := PassthroughSNI(80, "api.shop.svc.cluster.local"); got != sni {
		t.Errorf("the server name of the Service is %s", got)
	}
	for name, test := range map[string]struct {
		chain *listenerv3.FilterChain
		port  int
		alpn  []string
		err   string
	}{
		"to the cluster of the name":           {chain(sni), 15443, []string{"h2", protocol}, ""},
		"but not for another name":             {chain("outbound_.81_._.api.shop.svc.cluster.local"), 15443, []string{protocol}, "outbound_.81_"},
		"but not for another protocol":         {chain(sni), 15443, []string{"h2"}, "no filter chain"},
		"but not on another port":              {chain(sni), 443, []string{protocol}, "no filter chain"},
		"but not where it ends the TLS itself": {ending, 15443, []string{protocol}, "ends the TLS"},
		"but not without a target":             {nowhere, 15443, []string{protocol}, "no TCP proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			view := newView()
			view.Listeners["0.0.0.0_15443"] = &listenerv3.Listener{
				FilterChains: []*listenerv3.FilterChain{chain("another"), test.chain},
				Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
					PortSpecifier: &core.SocketAddress_PortValue{PortValue: 15443},
				}}},
			}
			got, err := view.Passthrough(test.port, sni, test.alpn)
			if test.err == "" && (err != nil || got != "to "+sni) {
				t.Errorf("it goes to %q (%v)", got, err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("it goes to %q, and the error is %v, want %q", got, err, test.err)
			}
		})
	}
}

func TestAGatewaySaysThatItIsNoSidecar(t *testing.T) {
	gateway := sidecar
	gateway.Gateway = true
	for proxy, kind := range map[*Proxy]string{&sidecar: "sidecar~", &gateway: "router~"} {
		node, err := proxy.node()
		if err != nil || !strings.HasPrefix(node.GetId(), kind) {
			t.Errorf("it is %s (%v), want %s…", node.GetId(), err, kind)
		}
	}
}
