package mesh

import (
	"reflect"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const api = "outbound|80||api.shop.svc.cluster.local"

func filter(t *testing.T, settings proto.Message) *listenerv3.Filter {
	t.Helper()
	return &listenerv3.Filter{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, settings)}}
}

func httpChain(t *testing.T, routes string, rulings ...*httprbacv3.RBAC) *listenerv3.FilterChain {
	t.Helper()
	manager := &httpv3.HttpConnectionManager{RouteSpecifier: &httpv3.HttpConnectionManager_Rds{Rds: &httpv3.Rds{RouteConfigName: routes}}}
	for _, ruling := range rulings {
		manager.HttpFilters = append(manager.HttpFilters, &httpv3.HttpFilter{ConfigType: &httpv3.HttpFilter_TypedConfig{TypedConfig: pack(t, ruling)}})
	}
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{filter(t, manager)}}
}

func rules(action rbacconfigv3.RBAC_Action, policies ...string) *rbacconfigv3.RBAC {
	result := &rbacconfigv3.RBAC{Action: action, Policies: map[string]*rbacconfigv3.Policy{}}
	for _, policy := range policies {
		result.Policies[policy] = &rbacconfigv3.Policy{}
	}
	return result
}

// on puts a filter chain on a port; with mutual TLS, with the TLS of the application, or plaintext.
func on(t *testing.T, chain *listenerv3.FilterChain, port uint32, transport string, mutual bool) *listenerv3.FilterChain {
	t.Helper()
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: transport}
	if port != 0 {
		chain.FilterChainMatch.DestinationPort = wrapperspb.UInt32(port)
	}
	if mutual {
		chain.TransportSocket = socket(t, &tlsv3.DownstreamTlsContext{RequireClientCertificate: wrapperspb.Bool(true)})
	}
	return chain
}

func socket(t *testing.T, settings proto.Message) *core.TransportSocket {
	t.Helper()
	return &core.TransportSocket{ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: pack(t, settings)}}
}

func TestTheModeOfAnInboundPort(t *testing.T) {
	for name, test := range map[string]struct {
		chains []*listenerv3.FilterChain
		want   Mode
	}{
		"is strict when only mutual TLS has a filter chain": {[]*listenerv3.FilterChain{on(t, httpChain(t, ""), 8080, "tls", true)}, Strict},
		"is permissive when plaintext has one, too": {[]*listenerv3.FilterChain{
			on(t, httpChain(t, ""), 8080, "tls", true), on(t, httpChain(t, ""), 8080, "raw_buffer", false),
		}, Permissive},
		"is off when mutual TLS has none": {[]*listenerv3.FilterChain{on(t, httpChain(t, ""), 8080, "", false)}, Disable},
		"is strict although the application's own TLS is let through": {[]*listenerv3.FilterChain{
			on(t, httpChain(t, ""), 8080, "tls", true), on(t, httpChain(t, ""), 8080, "tls", false),
		}, Strict},
		"is not that of another port": {[]*listenerv3.FilterChain{
			on(t, httpChain(t, ""), 8080, "tls", true), on(t, httpChain(t, ""), 9090, "raw_buffer", false),
		}, Strict},
		"is that of all other ports when it has no filter chain of its own": {[]*listenerv3.FilterChain{
			on(t, httpChain(t, ""), 9090, "tls", true), on(t, httpChain(t, ""), 0, "raw_buffer", false),
		}, Disable},
		"is unknown when nothing matches": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			view := newView()
			view.Listeners[inboundListener] = &listenerv3.Listener{FilterChains: test.chains}
			got, err := view.InboundMode(8080)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("mode %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestRulingsAreInTheOrderOfTheFilters(t *testing.T) {
	deny := rules(rbacconfigv3.RBAC_DENY, "ns[shop]-policy[b]-rule[0]", "ns[shop]-policy[a]-rule[0]")
	allow := rules(rbacconfigv3.RBAC_ALLOW, "ns[shop]-policy[c]-rule[0]")
	want := []Ruling{
		{"DENY", []string{"ns[shop]-policy[a]-rule[0]", "ns[shop]-policy[b]-rule[0]"}}, {"ALLOW", []string{"ns[shop]-policy[c]-rule[0]"}},
	}
	ofHTTP := func() *listenerv3.FilterChain {
		return httpChain(t, "", &httprbacv3.RBAC{Rules: deny}, &httprbacv3.RBAC{Rules: allow})
	}
	for name, test := range map[string]struct {
		chains []*listenerv3.FilterChain
		want   []Ruling
		err    string
	}{
		"of requests": {[]*listenerv3.FilterChain{on(t, ofHTTP(), 80, "tls", true), on(t, ofHTTP(), 80, "raw_buffer", false)}, want, ""},
		"of connections": {[]*listenerv3.FilterChain{{
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(80)},
			Filters:          []*listenerv3.Filter{filter(t, &rbacv3.RBAC{Rules: deny}), filter(t, &rbacv3.RBAC{Rules: allow}), filter(t, &tcpv3.TcpProxy{})},
		}}, want, ""},
		"of which there are none": {[]*listenerv3.FilterChain{on(t, httpChain(t, ""), 80, "", false)}, nil, ""},
		"that are not the same for plaintext": {
			[]*listenerv3.FilterChain{on(t, ofHTTP(), 80, "tls", true), on(t, httpChain(t, ""), 80, "raw_buffer", false)}, nil, "in another",
		},
	} {
		t.Run(name, func(t *testing.T) {
			view := newView()
			view.Listeners[inboundListener] = &listenerv3.Listener{FilterChains: test.chains}
			got, err := view.InboundRulings(80)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("rulings %v, want %v", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

func endpoint(ip, tlsMode string, health core.HealthStatus) *endpointv3.LbEndpoint {
	built := &endpointv3.LbEndpoint{
		HealthStatus: health,
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &core.Address{
			Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
				Address: ip, PortSpecifier: &core.SocketAddress_PortValue{PortValue: 8080},
			}},
		}}},
	}
	if tlsMode != "" {
		built.Metadata = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{transportSocketMatch: fields("tlsMode", tlsMode)}}
	}
	return built
}

func fields(name, value string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{name: structpb.NewStringValue(value)}}
}

func serving(cluster *clusterv3.Cluster, endpoints ...*endpointv3.LbEndpoint) *View {
	view := newView()
	view.Clusters[cluster.GetName()] = cluster
	view.Endpoints[endpointsName(cluster)] = &endpointv3.ClusterLoadAssignment{Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: endpoints}}}
	return view
}

func TestAHandshakeIsTheEndpointsOwn(t *testing.T) {
	mutual := &tlsv3.UpstreamTlsContext{Sni: "outbound_.80_._.api.shop.svc.cluster.local", CommonTlsContext: &tlsv3.CommonTlsContext{
		AlpnProtocols:                  []string{"istio"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "default"}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ROOTCA"},
			DefaultValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
				SanType: tlsv3.SubjectAltNameMatcher_URI,
				Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "spiffe://cluster.local/ns/shop/sa/api"}},
			}}},
		}},
	}}
	read := Handshake{
		TLS: true, SNI: "outbound_.80_._.api.shop.svc.cluster.local", ALPN: []string{"istio"}, Certificate: "default", Roots: "ROOTCA",
		Identities: []string{"spiffe://cluster.local/ns/shop/sa/api"},
	}
	automatic := edsCluster(api)
	automatic.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: fields("tlsMode", "istio"), TransportSocket: socket(t, mutual)},
		{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: &core.TransportSocket{}},
	}
	always := edsCluster(api)
	always.TransportSocket = socket(t, mutual)
	const ip = "10.0.0.1"
	for name, test := range map[string]struct {
		view *View
		want Handshake
	}{
		"mutual TLS with a sidecar":               {serving(automatic, endpoint(ip, "istio", core.HealthStatus_HEALTHY)), read},
		"plaintext with a bare Pod":               {serving(automatic, endpoint(ip, "", core.HealthStatus_HEALTHY)), Handshake{}},
		"mutual TLS where the cluster demands it": {serving(always, endpoint(ip, "", core.HealthStatus_UNKNOWN)), read},
		"plaintext where nothing is said":         {serving(edsCluster(api), endpoint(ip, "istio", core.HealthStatus_UNKNOWN)), Handshake{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.view.Handshake(api, ip+":8080")
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("handshake %+v (%v), want %+v", got, err, test.want)
			}
		})
	}
	t.Run("nothing with an endpoint that is not there", func(t *testing.T) {
		view := serving(automatic, endpoint(ip, "istio", core.HealthStatus_UNHEALTHY))
		if got, err := view.Handshake(api, ip+":8080"); err == nil {
			t.Errorf("handshake %+v with an unhealthy endpoint", got)
		}
		if addresses, err := view.EndpointsOf(api); err != nil || len(addresses) != 0 {
			t.Errorf("endpoints %v (%v), want none", addresses, err)
		}
	})
	t.Run("nothing of a cluster that is not there", func(t *testing.T) {
		_, err := serving(automatic).Handshake("outbound|81||api.shop.svc.cluster.local", ip+":8080")
		if err == nil || !strings.Contains(err.Error(), api) {
			t.Errorf("the error does not name the cluster of the same host: %v", err)
		}
	})
}

func TestRequestsForUnknownHosts(t *testing.T) {
	route := func(action *routev3.Route) *View {
		view := newView()
		view.Routes["80"] = &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{{Domains: []string{"*"}, Routes: []*routev3.Route{action}}}}
		return view
	}
	to := func(cluster string) *routev3.Route {
		return &routev3.Route{Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}}}
	}
	for name, test := range map[string]struct {
		view *View
		want string
	}{
		"pass where anything is allowed": {route(to(Passthrough)), Passthrough},
		"are answered with an error where it is not": {
			route(&routev3.Route{Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}}}), BlackHole,
		},
		"cannot be judged without routes": {newView(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.view.UnknownHTTP(80)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("they go to %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestUnknownConnectionsGoWhereTheLastFilterChainLeads(t *testing.T) {
	view := newView()
	if _, err := view.UnknownTCP(); err == nil {
		t.Error("there is an answer without a listener")
	}
	view.Listeners[outboundListener] = &listenerv3.Listener{
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{filter(t, tcpTo(BlackHole))}}},
		DefaultFilterChain: &listenerv3.FilterChain{
			Filters: []*listenerv3.Filter{filter(t, &rbacv3.RBAC{}), filter(t, tcpTo(Passthrough))},
		},
	}
	if got, err := view.UnknownTCP(); err != nil || got != Passthrough {
		t.Errorf("they go to %q (%v)", got, err)
	}
}

func tcpTo(cluster string) *tcpv3.TcpProxy {
	return &tcpv3.TcpProxy{ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster}}
}

func TestASplitIsInPercent(t *testing.T) {
	weighted := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{
		Clusters: []*routev3.WeightedCluster_ClusterWeight{
			{Name: "v1", Weight: wrapperspb.UInt32(3)}, {Name: "v2", Weight: wrapperspb.UInt32(1)},
		},
	}}}
	single := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "v1"}}
	for name, test := range map[string]struct {
		host string
		want map[string]int
	}{
		"by weight":                     {"split.example", map[string]int{"v1": 75, "v2": 25}},
		"all when there is one cluster": {"single.example", map[string]int{"v1": 100}},
		"an error for another host":     {"other.example", nil},
	} {
		t.Run(name, func(t *testing.T) {
			view := newView()
			for host, action := range map[string]*routev3.RouteAction{"split.example": weighted, "single.example": single} {
				if view.Routes["80"] == nil {
					view.Routes["80"] = &routev3.RouteConfiguration{Name: "80"}
				}
				view.Routes["80"].VirtualHosts = append(view.Routes["80"].VirtualHosts, &routev3.VirtualHost{
					Domains: []string{host}, Routes: []*routev3.Route{{Action: &routev3.Route_Route{Route: action}}},
				})
			}
			got, err := view.Split(test.host, 80)
			if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.want != nil) {
				t.Errorf("split %v (%v), want %v", got, err, test.want)
			}
		})
	}
}
