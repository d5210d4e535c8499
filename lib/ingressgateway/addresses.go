// Package ingressgateway decides by which addresses peers reach this cluster's
// mTLS gateway.
package ingressgateway

import (
	"fmt"
	"net"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Port of the gateway's listener, and of its Service when the inlet is a load balancer.
const Port = 15443

// Values of the setting alliance.ingressGateway.inlet.
const (
	InletLoadBalancer = "LoadBalancer"
	InletNodePort     = "NodePort"
)

// Settings is the setting alliance.ingressGateway, as far as addresses depend on it.
type Settings struct {
	Inlet        string                    `json:"inlet"`
	Advertise    []metadata.IngressGateway `json:"advertise"`
	NodeSelector map[string]string         `json:"nodeSelector"`
}

// Service is what matters of Service d8-istio/ingressgateway.
type Service struct {
	// LoadBalancer lists IP addresses and host names from the status.
	LoadBalancer []string `json:"loadBalancer"`
	// NodePort of the port "tls"; 0 when it has none.
	NodePort int32 `json:"nodePort"`
}

// Node is what matters of a Node.
type Node struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	ExternalIP []string          `json:"externalIP"`
	InternalIP []string          `json:"internalIP"`
	Ready      bool              `json:"ready"`
}

// Addresses lists the addresses to publish, sorted, or says why there are none.
// Advertised addresses replace all others: the person knows the network in between.
func Addresses(settings Settings, service *Service, nodes []Node) (addresses []metadata.IngressGateway, missing string) {
	switch {
	case len(settings.Advertise) > 0:
		addresses = settings.Advertise
	case service == nil:
		return nil, "Service d8-istio/ingressgateway does not exist yet"
	case settings.Inlet == InletNodePort:
		addresses, missing = nodeAddresses(settings, service, nodes)
	default:
		for _, address := range service.LoadBalancer {
			addresses = append(addresses, metadata.IngressGateway{Address: address, Port: Port})
		}
		if len(addresses) == 0 {
			missing = "Service d8-istio/ingressgateway has no load balancer address yet; if this cluster has no load balancers, " +
				"set alliance.ingressGateway.inlet to NodePort or fill alliance.ingressGateway.advertise"
		}
	}
	return metadata.SortedGateways(addresses), missing
}

// nodeAddresses are the external address of every ready node that may run the
// gateway, or the internal one of a node that has no other.
func nodeAddresses(settings Settings, service *Service, nodes []Node) ([]metadata.IngressGateway, string) {
	if service.NodePort == 0 {
		return nil, "Service d8-istio/ingressgateway has no node port yet"
	}
	selector := labels.SelectorFromSet(settings.NodeSelector)
	var addresses []metadata.IngressGateway
	for _, node := range nodes {
		if !node.Ready || !selector.Matches(labels.Set(node.Labels)) {
			continue
		}
		candidates := node.ExternalIP
		if len(candidates) == 0 {
			candidates = node.InternalIP
		}
		for _, address := range candidates {
			if net.ParseIP(address) != nil {
				addresses = append(addresses, metadata.IngressGateway{Address: address, Port: service.NodePort})
				break
			}
		}
	}
	if len(addresses) == 0 {
		return nil, fmt.Sprintf("none of %d nodes is ready, matches alliance.ingressGateway.nodeSelector and has an address", len(nodes))
	}
	return addresses, ""
}
