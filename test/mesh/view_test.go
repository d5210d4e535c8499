package mesh

import (
	"reflect"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
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

func httpChain(t *testing.T, routes string) *listenerv3.FilterChain {
	t.Helper()
	manager := &httpv3.HttpConnectionManager{RouteSpecifier: &httpv3.HttpConnectionManager_Rds{Rds: &httpv3.Rds{RouteConfigName: routes}}}
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{filter(t, manager)}}
}

// plaintext puts a filter chain on a port, where no TLS comes in.
func plaintext(chain *listenerv3.FilterChain, port uint32) *listenerv3.FilterChain {
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer", DestinationPort: wrapperspb.UInt32(port)}
	return chain
}

func socket(t *testing.T, settings proto.Message) *core.TransportSocket {
	t.Helper()
	return &core.TransportSocket{ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: pack(t, settings)}}
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

func TestUnknownConnectionsUseTheLastFilterChain(t *testing.T) {
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
