package cluster

import (
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

func service(name string, age time.Duration, asked, published string) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1_000_000, 0).Add(-age))},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerIP: asked},
	}
	if published != "" {
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: published}}
	}
	return service
}

func TestServicesGetAddresses(t *testing.T) {
	cluster := planned(t, plan.Options{Clusters: 1, Nodes: 1, Mode: plan.Federation})
	class, internal := "someone.else/balancer", service("internal", 0, "", "")
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	other := service("other-class", 0, "", "")
	other.Spec.LoadBalancerClass = &class
	for name, test := range map[string]struct {
		services []*corev1.Service
		want     map[string]string
	}{
		"the first is for the Service that asks for it": {
			[]*corev1.Service{service("old", time.Hour, "", ""), service("ingress", 0, "10.89.1.128", "")},
			map[string]string{"old": "10.89.1.129", "ingress": "10.89.1.128"},
		},
		"a Service retains what it has": {
			[]*corev1.Service{service("old", time.Hour, "", ""), service("young", 0, "", "10.89.1.129")},
			map[string]string{"old": "10.89.1.130", "young": "10.89.1.129"},
		},
		"one asks for what another has": {
			[]*corev1.Service{service("old", time.Hour, "", "10.89.1.129"), service("young", 0, "10.89.1.129", "")},
			map[string]string{"old": "10.89.1.130", "young": "10.89.1.129"},
		},
		"two ask for the same: the older gets it, the other none": {
			[]*corev1.Service{service("young", 0, "10.89.1.140", ""), service("old", time.Hour, "10.89.1.140", "")},
			map[string]string{"old": "10.89.1.140"},
		},
		"an address that the cluster lacks": {
			[]*corev1.Service{service("abroad", 0, "10.89.2.140", ""), service("moved", 0, "", "10.89.2.129")},
			map[string]string{"moved": "10.89.1.129"},
		},
		"Services that are not for this balancer": {[]*corev1.Service{internal, other}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for service, address := range assign(test.services, cluster) {
				got[service.Name] = address.String()
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAnAddressStaysOnItsNodeWhileTheNodeIsReady(t *testing.T) {
	for name, test := range map[string]struct {
		able          []string
		present, want string
	}{
		"at first":                {[]string{"a", "b"}, "", "a"},
		"while its node is able":  {[]string{"a", "b"}, "b", "b"},
		"when its node is lost":   {[]string{"a"}, "b", "a"},
		"when no node is able":    {nil, "b", ""},
		"when none has ever been": {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := choose(test.able, test.present); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestANodeHasAnEndpointOnlyWhileItIsReady(t *testing.T) {
	node, ready, unready := "n", true, false
	endpoints := func(ready *bool) []*discoveryv1.EndpointSlice {
		return []*discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ready}}}}}
	}
	for name, test := range map[string]struct {
		ready *bool
		node  string
		want  bool
	}{
		"ready": {&ready, "n", true}, "unknown is ready": {nil, "n", true}, "not ready": {&unready, "n", false}, "elsewhere": {&ready, "m", false},
	} {
		if got := hasEndpoint(endpoints(test.ready), test.node); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
