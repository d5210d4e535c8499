package mesh

import (
	"fmt"
	"slices"
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// Where Istio sends what nobody in the mesh is known for.
const (
	Passthrough = "PassthroughCluster"
	BlackHole   = "BlackHoleCluster"
)

// UnknownTCP is the cluster that connections to addresses go to which no listener is for.
func (v *View) UnknownTCP() (string, error) {
	listener := v.Listeners[outboundListener]
	if listener == nil {
		return "", fmt.Errorf("istiod has sent no listener %s", outboundListener)
	}
	chains := filterChains(listener)
	if len(chains) == 0 {
		return "", fmt.Errorf("listener %s has no filter chains", outboundListener)
	}
	proxy, err := firstFilter[tcpv3.TcpProxy](chains[len(chains)-1])
	if err != nil {
		return "", fmt.Errorf("read listener %s: %w", outboundListener, err)
	}
	if proxy == nil {
		return "", fmt.Errorf("the last filter chain of listener %s has no TCP proxy", outboundListener)
	}
	return proxy.GetCluster(), nil
}

// UnknownHTTP is where requests on the port go whose host no virtual host is for: a cluster, or BlackHole when they
// are answered with an error. Istio does that with status 502.
func (v *View) UnknownHTTP(port int) (string, error) {
	virtualHost, err := v.virtualHost(port, "*")
	if err != nil {
		return "", err
	}
	routes := virtualHost.GetRoutes()
	if len(routes) == 0 {
		return "", fmt.Errorf("virtual host %s of port %d has no route", virtualHost.GetName(), port)
	}
	if routes[0].GetDirectResponse().GetStatus() >= 400 {
		return BlackHole, nil
	}
	return routes[0].GetRoute().GetCluster(), nil
}

// Split is how requests for the host and port are shared out by the first route: percent by cluster.
func (v *View) Split(host string, port int) (map[string]int, error) {
	virtualHost, err := v.virtualHost(port, host)
	if err != nil {
		return nil, err
	}
	routes := virtualHost.GetRoutes()
	if len(routes) == 0 {
		return nil, fmt.Errorf("virtual host %s of port %d has no route", virtualHost.GetName(), port)
	}
	action := routes[0].GetRoute()
	if cluster := action.GetCluster(); cluster != "" {
		return map[string]int{cluster: 100}, nil
	}
	weighted := action.GetWeightedClusters().GetClusters()
	total := 0
	for _, part := range weighted {
		total += int(part.GetWeight().GetValue())
	}
	if total == 0 {
		return nil, fmt.Errorf("the first route of virtual host %s of port %d leads to no cluster: %v", virtualHost.GetName(), port, routes[0])
	}
	split := map[string]int{}
	for _, part := range weighted {
		split[part.GetName()] += 100 * int(part.GetWeight().GetValue()) / total
	}
	return split, nil
}

func (v *View) virtualHost(port int, domain string) (*routev3.VirtualHost, error) {
	name := strconv.Itoa(port)
	routes := v.Routes[name]
	if routes == nil {
		return nil, fmt.Errorf("no listener has routes for port %d", port)
	}
	var present []string
	for _, virtualHost := range routes.GetVirtualHosts() {
		if slices.Contains(virtualHost.GetDomains(), domain) {
			return virtualHost, nil
		}
		present = append(present, virtualHost.GetName())
	}
	return nil, fmt.Errorf("the routes for port %d have no virtual host for %s; there are %v", port, domain, present)
}
