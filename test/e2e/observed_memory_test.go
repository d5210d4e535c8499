//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// manyServices are so many that their part of a proxy's memory is seen.
const manyServices = 1000

// TestObservedMemoryOfAProxyFollowsItsSidecarResource: a Sidecar resource has a proxy forget the Services that its
// application does not call, and use less memory. The figures are logged.
func TestObservedMemoryOfAProxyFollowsItsSidecarResource(t *testing.T) {
	needObservability(t)
	f := trafficOf(t)
	proxy := f.Here.Pod("distant")
	few := proxy.footprint(t)
	f.Here.createServices(t, f.Here.namespace(t), manyServices)
	eventually(t, observed, "the proxy knows all Services", func() string {
		now, err := proxy.knownClusters()
		if err != nil {
			return err.Error()
		}
		return unless(now >= few.clusters+manyServices, "it knows %d clusters", now)
	})
	all := proxy.footprint(t)
	f.applyYAML(t, f.Here, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: '{{.Here.Yard}}'}\n"+
		"spec: {egress: [{hosts: ['{{.Here.Shop}}/*']}]}")
	eventually(t, observed, "the proxy has forgotten what its Sidecar resource leaves out, and memory is free again", func() string {
		now := proxy.footprint(t)
		return unless(now.clusters < few.clusters && now.configuration < few.configuration && now.memory < all.memory, "it has %s", now)
	})
	t.Logf("at first: %s; with %d Services more: %s; with a Sidecar resource: %s", few, manyServices, all, proxy.footprint(t))
}

// footprint of a proxy.
type footprint struct {
	clusters int
	// configuration in bytes, as the proxy shows it, memory in bytes that it has allocated.
	configuration, memory int
}

func (p footprint) String() string {
	return fmt.Sprintf("%d clusters, %d KB of configuration, %.1f MB of memory", p.clusters, p.configuration/1000, float64(p.memory)/1e6)
}

func (i *insider) footprint(t *testing.T) footprint {
	t.Helper()
	clusters, err := i.knownClusters()
	if err != nil {
		t.Fatal(err)
	}
	var memory struct {
		Allocated int `json:"allocated,string"`
	}
	if err := json.Unmarshal([]byte(i.admin("memory").text), &memory); err != nil {
		t.Fatal(err)
	}
	return footprint{clusters, i.configurationSize(t), memory.Allocated}
}

// createServices without Pods; they go with their namespace.
func (s *side) createServices(t *testing.T, namespace string, count int) {
	t.Helper()
	for number := range count {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("service-%d", number)}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "none"}, Ports: []corev1.ServicePort{{Name: "http-web", Port: 80}},
		}}
		if _, err := s.typed.CoreV1().Services(namespace).Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
