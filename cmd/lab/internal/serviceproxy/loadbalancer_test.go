package serviceproxy

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNeedsAddress(t *testing.T) {
	address := netip.MustParseAddr("203.0.113.10")
	now := metav1.Now()
	service := func(change func(*corev1.Service)) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		change(s)
		return s
	}
	for name, test := range map[string]struct {
		service *corev1.Service
		want    bool
	}{
		"a load balancer without an address does": {service(func(*corev1.Service) {}), true},
		"one that has it does not": {service(func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.10"}}
		}), false},
		"one with another address does": {service(func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.99"}}
		}), true},
		"a NodePort does not":                      {service(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }), false},
		"one that is being deleted no longer does": {service(func(s *corev1.Service) { s.DeletionTimestamp = &now }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := needsAddress(test.service, address); got != test.want {
				t.Fatalf("needsAddress = %t", got)
			}
		})
	}
}
