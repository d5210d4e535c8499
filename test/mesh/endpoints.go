package mesh

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// Outbound is Istio's name of the cluster for a port of a Service: outbound|80|v1|api.shop.svc.cluster.local,
// where the subset is often empty.
func Outbound(port int, subset, host string) string {
	return strings.Join([]string{"outbound", strconv.Itoa(port), subset, host}, "|")
}

// Cluster by name. The error lists clusters of the same host, or else how many there are.
func (v *View) Cluster(name string) (*clusterv3.Cluster, error) {
	if cluster := v.Clusters[name]; cluster != nil {
		return cluster, nil
	}
	host := name[strings.LastIndex(name, "|")+1:]
	var alike []string
	for present := range v.Clusters {
		if strings.HasSuffix(present, "|"+host) {
			alike = append(alike, present)
		}
	}
	slices.Sort(alike)
	return nil, fmt.Errorf("no cluster %s among %d; for its host there are %v", name, len(v.Clusters), alike)
}

// EndpointsOf are the addresses ("ip:port", sorted) that a proxy would send requests for the cluster to.
func (v *View) EndpointsOf(cluster string) ([]string, error) {
	var addresses []string
	err := v.eachEndpoint(cluster, func(endpoint *endpointv3.LbEndpoint) {
		addresses = append(addresses, addressOf(endpoint))
	})
	slices.Sort(addresses)
	return addresses, err
}

func (v *View) eachEndpoint(name string, do func(*endpointv3.LbEndpoint)) error {
	cluster, err := v.Cluster(name)
	if err != nil {
		return err
	}
	assignment := cluster.GetLoadAssignment()
	if cluster.GetType() == clusterv3.Cluster_EDS {
		assignment = v.Endpoints[endpointsName(cluster)]
	}
	for _, locality := range assignment.GetEndpoints() {
		for _, endpoint := range locality.GetLbEndpoints() {
			if endpoint.GetHealthStatus() == core.HealthStatus_UNKNOWN || endpoint.GetHealthStatus() == core.HealthStatus_HEALTHY {
				do(endpoint)
			}
		}
	}
	return nil
}

func addressOf(endpoint *endpointv3.LbEndpoint) string {
	socket := endpoint.GetEndpoint().GetAddress().GetSocketAddress()
	return net.JoinHostPort(socket.GetAddress(), strconv.FormatUint(uint64(socket.GetPortValue()), 10))
}
