package mesh

import (
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// Types of resources, as xDS names them.
const (
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// View is what a proxy has received, by name. It does not change.
type View struct {
	Clusters  map[string]*clusterv3.Cluster
	Endpoints map[string]*endpointv3.ClusterLoadAssignment
	Listeners map[string]*listenerv3.Listener
	Routes    map[string]*routev3.RouteConfiguration

	// routes are the names to ask RDS for.
	routes []string
	// roots are PEM texts; nil before istiod sent any.
	roots    []string
	received map[string]bool
}

func newView() *View {
	return &View{
		Clusters: map[string]*clusterv3.Cluster{}, Endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		Listeners: map[string]*listenerv3.Listener{}, Routes: map[string]*routev3.RouteConfiguration{},
		received: map[string]bool{},
	}
}

func (v *View) clone() *View {
	return &View{
		Clusters: maps.Clone(v.Clusters), Endpoints: maps.Clone(v.Endpoints),
		Listeners: maps.Clone(v.Listeners), Routes: maps.Clone(v.Routes), routes: v.routes, roots: v.roots, received: maps.Clone(v.received),
	}
}

// merge takes a response over: clusters and listeners come all together and
// replace what was, endpoints and routes may come a few at a time.
func (v *View) merge(response *discovery.DiscoveryResponse) (err error) {
	switch kind := response.GetTypeUrl(); kind {
	case clusterType:
		v.Clusters, err = unpack(response.GetResources(), (*clusterv3.Cluster).GetName)
	case listenerType:
		if v.Listeners, err = unpack(response.GetResources(), (*listenerv3.Listener).GetName); err == nil {
			v.routes, err = routesOf(v.Listeners)
		}
	case endpointType:
		var some map[string]*endpointv3.ClusterLoadAssignment
		some, err = unpack(response.GetResources(), (*endpointv3.ClusterLoadAssignment).GetClusterName)
		maps.Copy(v.Endpoints, some)
	case routeType:
		var some map[string]*routev3.RouteConfiguration
		some, err = unpack(response.GetResources(), (*routev3.RouteConfiguration).GetName)
		maps.Copy(v.Routes, some)
	case rootsType:
		var configs map[string]*meshv1alpha1.ProxyConfig
		configs, err = unpack(response.GetResources(), func(*meshv1alpha1.ProxyConfig) string { return "" })
		v.roots = rootsOf(configs[""])
	default:
		return fmt.Errorf("no view of %s", kind)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", response.GetTypeUrl(), err)
	}
	v.received[response.GetTypeUrl()] = true
	return nil
}

// message is a pointer to a generated message, which is what a resource is.
type message[T any] interface {
	*T
	proto.Message
}

func unpack[T any, M message[T]](resources []*anypb.Any, name func(M) string) (map[string]M, error) {
	unpacked := make(map[string]M, len(resources))
	for _, packed := range resources {
		resource := M(new(T))
		if err := packed.UnmarshalTo(resource); err != nil {
			return nil, err
		}
		unpacked[name(resource)] = resource
	}
	return unpacked, nil
}

// unpackAs reads a message of type T out of a filter's or socket's settings; ok is false when it is of another type.
func unpackAs[T any, M message[T]](packed *anypb.Any) (resource M, ok bool, err error) {
	resource = M(new(T))
	if !packed.MessageIs(resource) {
		return nil, false, nil
	}
	if err := packed.UnmarshalTo(resource); err != nil {
		return nil, false, err
	}
	return resource, true, nil
}

// wantedEndpoints are the names to ask EDS for.
func (v *View) wantedEndpoints() []string {
	names := []string{}
	for _, cluster := range v.Clusters {
		if cluster.GetType() == clusterv3.Cluster_EDS {
			names = append(names, endpointsName(cluster))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func endpointsName(cluster *clusterv3.Cluster) string {
	if name := cluster.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return cluster.GetName()
}

// routesOf are the names of the routes that listeners leave to RDS.
func routesOf(listeners map[string]*listenerv3.Listener) ([]string, error) {
	names := []string{}
	for _, listener := range listeners {
		for _, chain := range filterChains(listener) {
			manager, err := connectionManager(chain)
			if err != nil {
				return nil, fmt.Errorf("listener %s: %w", listener.GetName(), err)
			}
			if name := manager.GetRds().GetRouteConfigName(); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// forgetUnwanted drops endpoints and routes that no cluster or listener names.
func (v *View) forgetUnwanted() {
	endpoints := v.wantedEndpoints()
	maps.DeleteFunc(v.Endpoints, func(name string, _ *endpointv3.ClusterLoadAssignment) bool {
		_, wanted := slices.BinarySearch(endpoints, name)
		return !wanted
	})
	maps.DeleteFunc(v.Routes, func(name string, _ *routev3.RouteConfiguration) bool {
		_, wanted := slices.BinarySearch(v.routes, name)
		return !wanted
	})
}

// incomplete says what a proxy could not yet serve for, "" when nothing.
func (v *View) incomplete() string {
	for _, kind := range []string{clusterType, listenerType} {
		if !v.received[kind] {
			return "istiod has not sent any " + kind
		}
	}
	for _, name := range v.wantedEndpoints() {
		if v.Endpoints[name] == nil {
			return "istiod has not sent the endpoints of " + name
		}
	}
	for _, name := range v.routes {
		if v.Routes[name] == nil {
			return "istiod has not sent the routes " + name
		}
	}
	return ""
}
