package ingressgateway

import (
	"reflect"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestAddresses(t *testing.T) {
	nodes := []Node{
		{Name: "c", ExternalIP: []string{"198.51.100.3"}, InternalIP: []string{"10.0.0.3"}, Ready: true, Labels: map[string]string{"role": "edge"}},
		{Name: "b", InternalIP: []string{"10.0.0.2"}, Ready: true},
		{Name: "a", InternalIP: []string{"10.0.0.1"}, Ready: false},
		{Name: "d", ExternalIP: []string{"not an address"}, Ready: true},
	}
	balanced := &Service{LoadBalancer: []string{"lb.example.com", "192.0.2.1"}, NodePort: 30443}
	for name, test := range map[string]struct {
		settings Settings
		service  *Service
		want     []metadata.IngressGateway
		missing  string
	}{
		"the load balancer's addresses, sorted": {
			Settings{Inlet: InletLoadBalancer}, balanced,
			[]metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}, {Address: "lb.example.com", Port: 15443}}, "",
		},
		"what is advertised counts alone": {
			Settings{Inlet: InletLoadBalancer, Advertise: []metadata.IngressGateway{{Address: "203.0.113.9", Port: 443}}}, balanced,
			[]metadata.IngressGateway{{Address: "203.0.113.9", Port: 443}}, "",
		},
		"what is advertised needs no Service": {
			Settings{Advertise: []metadata.IngressGateway{{Address: "203.0.113.9", Port: 443}}}, nil,
			[]metadata.IngressGateway{{Address: "203.0.113.9", Port: 443}}, "",
		},
		"node ports on ready nodes, external addresses preferred": {
			Settings{Inlet: InletNodePort}, balanced,
			[]metadata.IngressGateway{{Address: "10.0.0.2", Port: 30443}, {Address: "198.51.100.3", Port: 30443}}, "",
		},
		"node ports only on selected nodes": {
			Settings{Inlet: InletNodePort, NodeSelector: map[string]string{"role": "edge"}}, balanced,
			[]metadata.IngressGateway{{Address: "198.51.100.3", Port: 30443}}, "",
		},
		"no Service yet":       {Settings{Inlet: InletLoadBalancer}, nil, nil, "does not exist yet"},
		"no load balancer yet": {Settings{Inlet: InletLoadBalancer}, &Service{}, nil, "alliance.ingressGateway.inlet"},
		"no node port yet":     {Settings{Inlet: InletNodePort}, &Service{}, nil, "no node port yet"},
		"no node selected":     {Settings{Inlet: InletNodePort, NodeSelector: map[string]string{"no": "such"}}, balanced, nil, "none of 4 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, missing := Addresses(test.settings, test.service, nodes)
			if len(got)+len(test.want) > 0 && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if (missing == "") != (test.missing == "") || !strings.Contains(missing, test.missing) {
				t.Errorf("missing %q, want %q", missing, test.missing)
			}
		})
	}
}
